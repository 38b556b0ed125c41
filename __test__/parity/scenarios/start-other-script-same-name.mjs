export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js' })
  await pm2.start({ name: 'app', script: 'other.js' })
  await t.summary('list', 'pm_exec_path', 'restart_time')
}
