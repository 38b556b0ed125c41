// Variables named like options replace those options.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js', env: { namespace: 'by-env', MY_VAR: 'top', kill_timeout: '900' } })
  await t.summary('list', 'namespace', 'MY_VAR', 'kill_timeout')
}
