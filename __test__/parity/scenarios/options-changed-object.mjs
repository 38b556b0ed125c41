// The app object of a running app, started and restarted again with other options.
import { recordChanges } from '../lib/changed-options.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start(app({ max_restarts: 3, kill_timeout: 800, args: 'first' }))
  await recordChanges(t, {
    same: ['start', app({ max_restarts: 3, kill_timeout: 800, args: 'first' })],
    'one less': ['start', app({ max_restarts: 3, args: 'first' })],
    'other values': ['start', app({ max_restarts: 4, kill_timeout: 900, args: 'second third' })],
    restart: ['restart', app({ max_restarts: 5, min_uptime: '3s', max_memory_restart: '60M' })],
    switches: ['restart', app({ autorestart: false, vizion: false, pmx: false, treekill: true })],
    'switches left out': ['restart', app({})],
    namespace: ['restart', app({ namespace: 'group' })],
    'no namespace': ['restart', app({})],
    instances: ['restart', app({ instances: 3 })],
    mode: ['restart', app({ exec_mode: 'cluster' })],
    'log files': ['restart', app({ out_file: 'own.log', error_file: 'own-error.log' })],
    'dates in logs': ['restart', app({ time: true })],
    lists: ['restart', app({ stop_exit_codes: [1, 2], ignore_watch: 'a b', filter_env: ['X'] })],
    'the text null': ['restart', app({ log_date_format: 'null', namespace: 'null' })],
    'cron pattern': ['restart', app({ cron_restart: '0 0 * * *' })],
    'cron off': ['restart', app({ cron_restart: '0' })],
    'instance variable': ['restart', app({ instance_var: 'WORKER' })],
    'unknown name': ['restart', app({ foo: 1 })],
    'camel case': ['restart', app({ maxRestarts: 7, killTimeout: 850 })],
    'wrong type': ['restart', app({ kill_timeout: 'x' })],
    beside: [ 'restart', app({}), { namespace: 'beside', watch: false, max_restarts: 9 }],
    folder: ['restart', app({ cwd: 'sub', script: '../binary.sh' })],
    'another script': ['restart', app({ script: './loop.sh', interpreter: 'bash' })],
  })
}

function app(options) {
  return { name: 'app', script: './binary.sh', interpreter: 'none', ...options }
}
