// Options that decide together, several errors at once, and keys that are no options.
import { tryCases } from '../lib/option-cases.mjs'
import { label, options } from '../lib/option-values.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  for (const [group, list] of Object.entries(groups)) {
    const cases = Object.fromEntries(list.map((given) => [label(given), given]))
    t.record(`object: ${group}`, await tryCases(t, cases, (given) => [{ name: 'app', autostart: false, ...scriptOf(given), ...structuredClone(given) }]))
    t.record(`script: ${group}`, await tryCases(t, cases, (given) => ['alive.js', { name: 'app', autostart: false, ...camelCased(structuredClone(given)) }]))
  }
}

function scriptOf(given) {
  return ['script', 'exec', 'cmd', 'command'].some((key) => key in given) ? {} : { script: 'alive.js' }
}

/** As npm pm2 wants them beside a script. */
function camelCased(given) {
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [options.find(({ name }) => name === key && name.includes('_'))?.aliases.at(-1) ?? key, value]))
}

const groups = {
  'number, mode and log files': product({
    instances: [undefined, 1, 2, 0, 'max', -1], exec_mode: [undefined, 'cluster', 'fork'], merge_logs: [undefined, true, false],
  }),
  'number, mode and log files in camel case': product({ instances: [undefined, 1, 2, 0], execMode: [undefined, 'cluster', 'fork'], mergeLogs: [undefined, true] }),
  'number and interpreter': product({
    instances: [1, -1, 0], interpreter: ['node', '/usr/bin/env', 'bash', 'none', 'python3', process.execPath],
  }),
  'commands as script': [
    { cmd: 'other.js' }, { command: 'other.js' }, { cmd: 'other.js', command: 'alive.js' }, { cmd: 'other.js', script: 'alive.js' }, { cmd: 'missing.js' },
    { cmd: '', command: 'other.js' }, { script: '', cmd: 'other.js' }, { exec: 'other.js', script: 'alive.js' }, { exec: 'alive.js', cmd: 'other.js' }, { cmd: 5 }, { cmd: 'echo hi' },
  ],
  'commands and their mode': [
    { execute_command: true, instances: 2 }, { execute_command: true, exec_mode: 'cluster' }, { execute_command: false, exec_mode: 'cluster' },
    { execute_command: true, interpreter: 'bash' },
  ],
  'dates in logs': [
    { time: true, log_date_format: 'YYYY' }, { time: false, log_date_format: 'YYYY' }, { time: false, logDateFormat: 'YYYY' }, { time: true, logDateFormat: 'YYYY' },
  ],
  agent: [{ automation: false, pmx: true }, { automation: true, pmx: false }, { automation: false, pmx: 'x' }, { trace: false, disable_trace: true }, { disable_trace: true, deep_monitoring: false }],
  'log files': [
    { out_file: 'one.log', error_file: 'one.log' }, { out_file: 'one.log', merge_logs: false }, { out_file: 'one.log', instances: 2 }, { out_file: 'one.txt', instances: 2 },
    { log_file: 'one.log', instances: 2 }, { log_file: true, out_file: 'NULL' }, { out_file: '/dev/null', instances: 2, error_file: 'one-7.log' }, { disable_logs: true, out_file: 'one.log' },
    { output: 'one.log', error: 'two.log', log: 'three.log' }, { outFile: 'sub/one.log', cwd: 'sub' },
  ],
  'process files': [{ pid_file: 'one.pid', instances: 2 }, { pid_file: 'one', instances: 2 }, { pid: 'one-3.pid' }, { pid_file: 'one.pid', cwd: 'sub' }],
  'script and folder': [
    { cwd: 'sub' }, { cwd: 'sub', script: 'where.js' }, { cwd: 'sub', script: '../other.js' }, { cwd: '/', script: 'tmp' }, { cwd: 'missing', script: '/bin/sleep' }, { cwd: 'sub', script: 'sleep' },
  ],
  port: [{ port: 80, env: { PORT: 90 } }, { port: '80', env: { PORT: '90' } }, { port: 80, env: { port: 1 } }],
  'several errors': [
    { kill_timeout: 'x', autorestart: 'no' }, { autorestart: 'no', kill_timeout: 'x' }, { min_uptime: 5, max_memory_restart: '1T', exec_mode: 'threads', vizion: 'x', listen_timeout: {} },
    { killTimeout: 'x', minUptime: 5, watch: 5, vizion: 1 }, { kill_timeout: 'x', cron_restart: 'never' }, { script: 'missing.js', kill_timeout: 'x' }, { interpreter: 'missing', treekill: 'x' },
    { env_x: 5, kill_timeout: 'x' }, { cwd: 5, args: 5, namespace: 5 },
  ],
  'names of environments': [
    { env_production: { A: 1 } }, { env_production: {} }, { env_production: 'text' }, { env_production: '' }, { env_production: 5 }, { env_production: 0 }, { env_production: false }, { env_production: null },
    { env_production: [] }, { env_: { A: 1 } }, { 'env_a b': { A: 1 } }, { 'env_ü': { A: 1 } }, { env_file: 'x' }, { env_a: { A: 1 }, env_b: { B: 1 } }, { envProduction: { A: 1 } }, { ENV_X: { A: 1 } },
  ],
  'no options': [
    { foo: 1 }, { foo: { a: 1 }, bar: null }, { Name: 'x' }, { max_memory: '1M' }, { maxmemoryrestart: '1M' }, { 'max-memory-restart': '1M' }, { autoRestart: false }, { combineLogs: true }, { exec_args: ['x'] },
    { errFile: 'x.log' }, { windows_hide: false }, { container: true }, { dist: 'x' }, { node_version: '20' }, { pm_id: 7 }, { status: 'online' }, { pm_exec_path: '/x' }, { pm_cwd: '/' }, { km_link: true },
    { restart_time: 5 }, { unique_id: 'x' }, { created_at: 1 }, { pm_out_log_path: '/x.log' }, { pmx_module: true }, { updateEnv: true }, { update_env: true }, { parallel: 5 }, { username: 'x' },
    { scriptArgs: ['a', 'b c'] }, { rawArgs: ['x', '--', 'a', 'b c'] }, { rawArgs: ['x'] }, { scriptArgs: ['a'], rawArgs: ['--', 'b'] }, { scriptArgs: 'a b' }, { scriptArgs: [] }, { daemon: false }, { attach: true },
  ],
  'watch delay': [{ watch_delay: 2 }, { watchDelay: 2 }, { watchDelay: '2' }, { watchDelay: 0.5 }, { watchDelay: '2s' }, { watch_delay: '2s' }, { watch: true, watch_delay: 100, watchDelay: 1 }],
}

function product(choices) {
  return Object.entries(choices).reduce(
    (cases, [key, values]) => cases.flatMap((given) => values.map((value) => value === undefined ? given : { ...given, [key]: value })), [{}],
  )
}
