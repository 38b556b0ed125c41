export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'exit.js', args: '1', max_restarts: 2 })
  await t.status('app', 'errored')
  await pm2.restart('app')
  await t.status('app', 'errored')
  await t.snapshot()
  await pm2.delete('app')
}
