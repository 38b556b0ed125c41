export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'merged', script: 'instance.js', instances: 2, exec_mode: 'fork', merge_logs: true })
  await t.contains('logs/merged-out.log', 'instance', 2)
  t.record('merged lines', t.read('logs/merged-out.log').trim().split('\n').sort())
  await pm2.with({ as: 'start split' }).start({ name: 'split', script: 'instance.js', merge_logs: false, out_file: 'own.log' })
  await t.contains(t.cwd('own-2.log'), 'instance')
  t.tree('files in logs', t.home('logs'))
  await t.summary('list', 'merge_logs', 'pm_out_log_path', 'pm_err_log_path')
}
