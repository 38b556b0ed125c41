export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ apps: [{ name: 'one', script: 'alive.js' }, { name: 'two', script: 'other.js', namespace: 'group' }] })
  await pm2.with({ as: 'start apps as object' }).start({ apps: { name: 'three', script: 'alive.js' } })
  await t.summary('list', 'namespace', 'pm_exec_path')
}
