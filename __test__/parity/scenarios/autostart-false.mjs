export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'app', script: 'alive.js', autostart: false })
  await pm2.list()
  t.tree()
  await pm2.stop('app')
  await pm2.delete('app')
}
