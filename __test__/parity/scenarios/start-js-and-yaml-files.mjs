export async function run(pm2, t) {
  await pm2.connect()
  await pm2.with({ as: 'start js' }).start('ecosystem.config.js', { env: 'production' })
  await pm2.with({ as: 'start yaml' }).start('apps.yml')
  await t.summary('list', 'A', 'NODE_ENV', 'autorestart', 'max_memory_restart', 'min_uptime')
  await pm2.with({ as: 'restart file' }).restart('ecosystem.config.js')
  await t.summary('list after restart', 'A', 'NODE_ENV', 'restart_time')
}
