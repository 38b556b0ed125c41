export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start('apps.json')
  await t.online('first')
  await t.online('second')
  await t.snapshot()
  await pm2.with({ as: 'stop file' }).stop('apps.json')
  await pm2.with({ as: 'start file again' }).start('apps.json', { env: 'production' })
  await t.settled()
  await t.summary('list', 'COLOUR', 'restart_time')
  await pm2.with({ as: 'delete file' }).delete('apps.json')
  await pm2.with({ as: 'list after delete' }).list()
}
