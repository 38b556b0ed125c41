export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'app', script: 'loop.sh', args: 'a b' })
  await t.contains('logs/app-out.log', 'shell')
  t.file('logs/app-out.log')
  await t.snapshot()
  await pm2.restart('app')
  await t.contains('logs/app-out.log', 'shell', 2)
  await pm2.stop('app')
}
