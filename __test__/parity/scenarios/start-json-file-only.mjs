export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start('apps.json', { only: 'second' })
  await t.summary('list')
}
