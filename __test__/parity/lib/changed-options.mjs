// Calls that give new options to an app that runs already, and what each of them changed.
import { changes, errorText, shown } from './option-cases.mjs'

/**
 * @param calls  name → `[method, ...arguments]`; they are about the process with the id 0, a native program that is online
 */
export async function recordChanges(t, calls) {
  let before = shown(await running(t))
  for (const [name, [method, ...args]] of Object.entries(calls)) {
    const { error, thrown, timeout } = await t.quiet[method](...args)
    const proc = await running(t)
    const after = shown(proc)
    t.record(name, { outcome: timeout ? 'no answer' : thrown ? `threw ${errorText(thrown)}` : error ? errorText(error) : 'done', changed: changes(after, before) })
    before = after
  }
}

/** Once the process is there again. */
function running(t) {
  return t.until('the process runs', async () => {
    const proc = await t.proc(0)
    return proc?.pm2_env.status === 'online' && t.alive(proc.pid) && proc
  })
}

/** Options in the spellings of start(script, options), by what they are about. */
export const groups = {
  'no options': {},
  limits: { maxMemoryRestart: '60M', minUptime: '2s', maxRestarts: 5, restartDelay: 10, expBackoffRestartDelay: 20, killTimeout: 900, listenTimeout: 700, killRetryTime: 50 },
  'limits again': { maxMemoryRestart: 1000000, killTimeout: '800' },
  switches: { autorestart: false, vizion: false, treekill: false, pmx: false, automation: false, windowsHide: false, sourceMapSupport: true, disableLogs: true },
  'switches back': { autorestart: true, vizion: true, treekill: true, pmx: true, automation: true, windowsHide: true, sourceMapSupport: false, disableLogs: false },
  lists: { args: 'x "y z"', nodeArgs: '--x', ignoreWatch: ['a'], stopExitCodes: [1, 2], watchOptions: { a: 1 }, postUpdate: ['x'], filterEnv: ['X'] },
  texts: { namespace: 'group', logDateFormat: 'YYYY', logType: 'json', instanceVar: 'WORKER', incrementVar: 'COUNTER' },
  files: { out: 'own.log', error: 'own-error.log', log: true, pid: 'own.pid' },
  numbers: { instances: 3, port: 8080, watchDelay: 2, cron: '0 0 * * *' },
  'cron off': { cron: '0' },
  mode: { execMode: 'cluster' },
  'merged logs': { mergeLogs: false },
  variables: { env: { A: '1' } },
  marks: { time: true, force: true, write: false, appendEnvToName: true, v8: true, trace: false, installUrl: 'x', namePrefix: 'x', disableSourceMapSupport: true, eventLoopInspector: true },
  'underscored names': { max_memory_restart: '70M', kill_timeout: 700, exec_mode: 'cluster', out_file: 'other.log' },
  'unknown names': { foo: 1, bar: { a: 1 } },
  'arguments of a script': { scriptArgs: ['from', 'scriptArgs'] },
  'a folder': { cwd: 'sub' },
  'another interpreter': { interpreter: 'none' },
  'another name': { name: 'renamed' },
}

/** Options as the process object has them. */
export const canonical = {
  'no options': {},
  limits: { max_memory_restart: 60000000, min_uptime: 2000, max_restarts: 5, restart_delay: 10, kill_timeout: 900, listen_timeout: 700, kill_retry_time: 50 },
  switches: { autorestart: false, vizion: false, pmx: false, automation: false, disable_logs: true, wait_ready: false },
  'switches back': { autorestart: true, vizion: true, pmx: true, automation: true, disable_logs: false },
  lists: { args: ['x', 'y z'], node_args: ['--x'], ignore_watch: ['a'], stop_exit_codes: [1, 2], watch_options: { a: 1 }, filter_env: ['X'] },
  texts: { namespace: 'group', log_date_format: 'YYYY', log_type: 'json', increment_var: 'COUNTER' },
  numbers: { instances: 3, port: 8080, watch_delay: 2000, cron_restart: '0 0 * * *' },
  'camel case': { maxRestarts: 6, killTimeout: 800 },
  units: { max_memory_restart: '70M', min_uptime: '3s', args: 'a "b c"' },
  'unknown names': { foo: 1, bar: { a: 1 } },
  'wrong type': { kill_timeout: 'x' },
}
