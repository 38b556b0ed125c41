export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'exit.js', args: '2', exp_backoff_restart_delay: 100 })
  const delays = []
  await t.until('four delays', async () => {
    const { pm2_env: env } = await t.proc('app')
    if (env.prev_restart_delay && env.prev_restart_delay !== delays.at(-1)) delays.push(env.prev_restart_delay)
    return delays.length >= 4
  })
  t.record('delays', delays.slice(0, 4))
  await t.quiet.delete('app')
}
