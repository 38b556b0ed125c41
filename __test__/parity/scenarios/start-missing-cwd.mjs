export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'app', script: t.cwd('alive.js'), cwd: '/no/such/folder' })
  await t.summary('list')
  await pm2.stop('app')
  await pm2.delete('app')
}
