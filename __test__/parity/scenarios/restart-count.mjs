// Exits after a stable while are counted as restarts, not as unstable ones.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'exit.js', args: '0 400', min_uptime: 100, max_restarts: 2 })
  await t.online('app', 3)
  const { pm2_env: env } = await t.proc('app')
  t.record('counters', { unstable: env.unstable_restarts, code: env.exit_code, enough: env.restart_time >= 3 })
}
