// Modules are not saved; a list of nothing else counts as empty.
import fs from 'node:fs'

export async function run(pm2, t) {
  await pm2.connect()
  const module = {
    name: 'module', namespace: 'default', pmx_module: true, env: { PATH: process.env.PATH }, pm_exec_path: t.cwd('alive.js'), pm_cwd: t.cwd(),
    exec_interpreter: 'node', exec_mode: 'fork_mode', instances: 1, autorestart: true, merge_logs: true, vizion: false, pmx: false, treekill: true, node_args: [],
    kill_retry_time: 100, instance_var: 'NODE_APP_INSTANCE',
    pm_out_log_path: t.home('logs', 'module-out.log'), pm_err_log_path: t.home('logs', 'module-error.log'), pm_pid_path: t.home('pids', 'module.pid')
  }
  await t.quiet.client.executeRemote('prepare', module)
  await t.online('module')
  await pm2.with({ as: 'dump of a module only' }).dump()
  t.file('dump.pm2', 'dump of a module only: file')
  await t.quiet.start({ name: 'app', script: 'alive.js' })
  await pm2.dump()
  t.record('names', JSON.parse(t.read('dump.pm2')).map(({ name }) => name))
  await t.quiet.delete('app')
  await pm2.with({ as: 'dump without the app' }).dump()
  t.record('names without the app', JSON.parse(t.read('dump.pm2')).map(({ name }) => name))
  await pm2.with({ as: 'forced' }).dump(true)
  t.file('dump.pm2', 'forced: file')
  // One that got into a list by hand is restored as it says.
  fs.writeFileSync(t.home('dump.pm2'), JSON.stringify([{ ...module, name: 'by-hand', instances: undefined, status: 'online', pm_pid_path: t.home('pids', 'by-hand.pid') }]))
  await t.quiet.resurrect()
  await t.summary('restored', 'pmx_module')
}
