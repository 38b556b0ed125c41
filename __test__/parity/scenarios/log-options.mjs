export async function run(pm2, t) {
  await pm2.connect()
  const script = 'write-lines.js'
  await t.quiet.start({ name: 'dated', script, time: true })
  await t.quiet.start({ name: 'format', script, log_date_format: 'YYYY' })
  await t.quiet.start({ name: 'json', script: 'alive.js', log_type: 'json' })
  await t.quiet.start({ name: 'off', script, disable_logs: true })
  await t.quiet.start({ name: 'null', script, out_file: '/dev/null', error_file: 'NULL' })
  await t.quiet.start({ name: 'third', script, log_file: 'third.log' })
  await t.quiet.start({ name: 'suffix', script, out_file: 'sub/own-2024.log', error_file: 'sub/own.txt', merge_logs: false })
  await t.contains('logs/dated-out.log', 'done')
  await t.contains('logs/format-out.log', 'done')
  await t.contains('logs/json-out.log', 'alive')
  await t.contains(t.cwd('third.log'), 'done')
  await t.contains(t.cwd('third.log'), 'err 2')
  const own = (await t.proc('suffix')).pm2_env
  await t.contains(own.pm_out_log_path, 'done')
  t.record('dated', (t.read('logs/dated-out.log')).split('\n').filter((line) => line.endsWith('done')))
  t.record('format', t.read('logs/format-out.log').replaceAll(String(new Date().getFullYear()), '<year>').split('\n').filter((line) => /done|out 1/.test(line)))
  t.record('json', JSON.parse(t.read('logs/json-out.log').trim()))
  t.record('third', t.read(t.cwd('third.log')).split('\n').sort())
  await t.summary('list', 'pm_out_log_path', 'pm_err_log_path', 'pm_log_path', 'log_date_format', 'log_type', 'disable_logs')
  t.tree('files in logs', t.home('logs'))
}
