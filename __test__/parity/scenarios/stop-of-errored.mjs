export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'throw.js', max_restarts: 1 })
  await t.status('app', 'errored')
  await pm2.stop('app')
  await t.snapshot()
}
