export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'exit.js', args: '2', restart_delay: 60_000 })
  await t.status('app', 'waiting restart')
  await t.snapshot()
  await pm2.stop('app')
  await t.summary('after stop', 'exit_code')
  await pm2.with({ as: 'delete' }).delete('app')
  await t.quiet.start({ name: 'short', script: 'exit.js', args: '2', restart_delay: 100, max_restarts: 50 })
  await t.until('restarted twice', async () => (await t.proc('short'))?.pm2_env.restart_time >= 2)
}
