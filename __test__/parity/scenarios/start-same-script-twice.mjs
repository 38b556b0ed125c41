export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start('alive.js')
  await pm2.with({ as: 'again' }).start('alive.js')
  await pm2.with({ as: 'again, other name' }).start('alive.js', { name: 'second' })
  await pm2.with({ as: 'again, force' }).start('alive.js', { force: true })
  await t.summary('list', 'NODE_APP_INSTANCE', 'pm_out_log_path')
  await t.quiet.stop('alive')
  await pm2.with({ as: 'again, stopped' }).start('alive.js')
  await t.summary('list at the end', 'restart_time')
}
