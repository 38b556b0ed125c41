export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start('alive.js')
  await t.online('alive')
  await t.snapshot()
  await pm2.with({ as: 'start absolute' }).start(t.cwd('other.js'))
  await t.summary('list')
}
