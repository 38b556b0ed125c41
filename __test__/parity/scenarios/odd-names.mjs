// Several independent apps with names that need care in file names.
export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'a b/c:d', script: 'alive.js' })
  await pm2.start({ name: '@scope/pkg', script: 'other.js' })
  await t.summary('list', 'pm_out_log_path', 'pm_pid_path')
  await pm2.stop('a b/c:d')
  await pm2.restart('@scope/pkg')
}
