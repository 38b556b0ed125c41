export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js', autorestart: false })
  const { pid } = await t.online('app')
  await t.contains('logs/app-out.log', 'alive')
  process.kill(pid, 'SIGKILL')
  await t.status('app', 'stopped')
  await t.snapshot()
}
