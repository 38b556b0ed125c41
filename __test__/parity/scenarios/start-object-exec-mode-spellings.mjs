// The default of merge_logs depends on how the mode is spelled.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'camel', script: 'alive.js', execMode: 'cluster' })
  await t.quiet.start({ name: 'underscored', script: 'alive.js', exec_mode: 'cluster' })
  await t.quiet.start({ name: 'counted', script: 'alive.js', execMode: 'cluster', instances: 1 })
  await t.settled()
  await t.summary('list', 'exec_mode', 'merge_logs', 'pm_out_log_path')
}
