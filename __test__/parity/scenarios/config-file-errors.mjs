export async function run(pm2, t) {
  await pm2.connect()
  await pm2.with({ as: 'start missing' }).start('missing.json')
  await pm2.with({ as: 'start broken' }).start('broken.json')
  await pm2.with({ as: 'stop missing' }).stop('missing.json')
  await pm2.with({ as: 'restart missing' }).restart('missing.json')
  await pm2.with({ as: 'delete missing' }).delete('missing.json')
  await pm2.with({ as: 'delete missing yaml' }).delete('missing.yaml')
}
