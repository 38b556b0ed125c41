export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'good', script: 'exit.js', args: '0', autorestart: false })
  await t.quiet.start({ name: 'bad', script: 'exit.js', args: '3', autorestart: false })
  await t.status('good', 'stopped')
  await t.status('bad', 'stopped')
  await t.snapshot()
  await pm2.with({ as: 'restart of ended' }).restart('bad')
  await t.status('bad', 'stopped')
  await t.summary('summary', 'exit_code', 'restart_time', 'unstable_restarts')
}
