// npm pm2 answers success and leaves it stopped.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js', autostart: false })
  await pm2.restart('app')
  await t.summary('list')
}
