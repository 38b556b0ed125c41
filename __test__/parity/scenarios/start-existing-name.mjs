export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js', env: { A: 'old', B: 'kept' } })
  await t.online('app')
  await pm2.with({ as: 'object of that name' }).start({ name: 'app', script: 'alive.js', env: { A: 'new' }, max_memory_restart: '50M' })
  await t.online('app', 1)
  await t.snapshot()
  await pm2.with({ as: 'by name' }).start('app')
  await t.online('app', 2)
  await pm2.with({ as: 'by id' }).start('0')
  await t.summary('summary', 'restart_time', 'A', 'B', 'max_memory_restart')
}
