// Ignores SIGINT: SIGKILL comes after kill_timeout.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'ignore-sigint.js', kill_timeout: 600 })
  const { pid } = await t.online('app')
  await t.contains('logs/app-out.log', 'ready to ignore')
  const began = Date.now()
  const stopping = pm2.stop('app')
  const seen = await t.status('app', 'stopping')
  t.record('while stopping', { status: seen.pm2_env.status, alive: t.alive(pid) })
  await stopping
  const took = Date.now() - began
  t.record('time', took >= 590 && took < 2_500 ? 'about kill_timeout' : `${took} ms`)
  t.record('dead', !t.alive(pid))
  await t.snapshot()
  await t.contains('logs/app-out.log', 'SIGINT ignored\n')
  t.file('logs/app-out.log')
}
