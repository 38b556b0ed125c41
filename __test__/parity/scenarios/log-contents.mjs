export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'write-lines.js' })
  await t.contains('logs/app-out.log', 'done')
  await t.contains('logs/app-error.log', 'err 2')
  t.file('logs/app-out.log')
  t.file('logs/app-error.log')
  await t.quiet.restart('app')
  await t.contains('logs/app-out.log', 'done', 2)
  await t.contains('logs/app-error.log', 'err 2', 2)
  t.file('logs/app-out.log', 'out after restart')
  t.file('logs/app-error.log', 'error after restart')
}
