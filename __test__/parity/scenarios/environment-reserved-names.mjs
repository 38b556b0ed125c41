// Variables called like fields of the process object: of the caller, and of the app itself.
import { recordStarts, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

const notInherited = [
  'name', 'exec_mode', 'env', 'args', 'pm_cwd', 'exec_interpreter', 'pm_exec_path', 'node_args', 'pm_out_log_path', 'pm_err_log_path', 'pm_pid_path', 'pm_id', 'status', 'pm_uptime', 'created_at', 'windowsHide', 'username',
  'merge_logs', 'kill_retry_time', 'prev_restart_delay', 'instance_var', 'unstable_restarts', 'restart_time', 'axm_actions', 'pmx_module', 'command', 'watch', 'filter_env', 'versioning', 'vizion_runing', 'MODULE_DEBUG', 'pmx',
  'axm_options', 'vizion', 'axm_dynamic', 'axm_monitor', 'instances', 'automation', 'autostart', 'autorestart', 'stop_exit_codes', 'unstable_restart', 'treekill', 'exit_code',
]
const inherited = ['km_link', 'node_version', 'version', 'unique_id', 'NODE_APP_INSTANCE', 'instance', 'out_file', 'axm_other', 'pm2_env', '_pm2_version', 'cwd', 'log_file', 'updateEnv']

export async function run(pm2, t) {
  await pm2.connect()
  const all = Object.fromEntries([...notInherited, ...inherited].map((name) => [name, `${name} of the caller`]))
  await recordStarts(t, {
    'all names, object': { caller: all, start: [sleeper({ name: 'object' })] },
    'all names, script': { caller: all, start: sleeperScript({ name: 'script' }) },
    'a user': { caller: { uid: 'nobody' }, start: [sleeper({ name: 'user' })] },
    'an object that was lost': { caller: { LOST: '[object Object]', KEPT: '[object Array]' }, start: [sleeper({ name: 'lost' })] },
  })
}
