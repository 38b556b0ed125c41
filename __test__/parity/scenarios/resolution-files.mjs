// Where logs and pid files are, for one process and for several.
import { tryCases } from '../lib/option-cases.mjs'

const logs = [
  'own.log', './own.log', 'sub/own.log', '../own.log', 'new/deep/own.log', '/tmp/../tmp/own.log', '~/own.log', '~', '~/', '~user/own.log', 'own', 'own.txt', 'own.LOG', '.log', 'a.log.b', 'own.log.log', 'own-7.log', 'own-0.log', 'own.log/', 'sub',
  'sub/', '.', '/', 'NULL', 'null', 'Null', '/dev/null', '/dev/stdout', '/dev/full', ' own.log', 'own.log ', 'with space.log', 'ünï 🐎.log', '$HOME/own.log', '%h.log', 'a\\b.log', '//x/own.log', 'own..log', '-.log'
]
const pids = ['own.pid', './own.pid', 'sub/own.pid', '../own.pid', 'new/own.pid', '~/own.pid', 'own', 'own.PID', '.pid', 'own.pid.pid', 'own-7.pid', '/dev/null', 'NULL', 'with space.pid', 'ünï.pid', 'own.pid.txt']

const settings = {
  one: {}, 'a folder': { cwd: 'sub', script: '../alive.js' }, merged: { merge_logs: true }, 'not merged': { merge_logs: false }, two: { instances: 2, exec_mode: 'fork' }, 'two merged': { instances: 2, exec_mode: 'fork', merge_logs: true },
  'a worker': { instances: 1 }, all: { instances: 'max' }
}

export const limit = 120_000

export async function run(pm2, t) {
  await pm2.connect()
  const table = (list, option) => Object.fromEntries(list.map((file) => [JSON.stringify(file), { [option]: file }]))
  const object = (setting) => (given) => [{ name: 'app', script: 'alive.js', autostart: false, ...setting, ...given }]
  const beside = (given) => ['alive.js', { name: 'app', autostart: false, ...given }]
  for (const [title, setting] of Object.entries(settings)) {
    t.record(`out_file, ${title}`, await tryCases(t, table(logs, 'out_file'), object(setting)))
    t.record(`pid_file, ${title}`, await tryCases(t, table(pids, 'pid_file'), object(setting)))
  }
  t.record('error_file', await tryCases(t, table(logs, 'error_file'), object({ instances: 2 })))
  t.record('log_file', await tryCases(t, table(logs, 'log_file'), object({ instances: 2 })))
  t.record('output beside a script', await tryCases(t, table(logs, 'output'), beside))
  t.record('log beside a script', await tryCases(t, table(logs, 'log'), beside))
  t.record('pid beside a script', await tryCases(t, table(pids, 'pid'), beside))
  const pairs = {
    'one for both': { out_file: 'both.log', error_file: 'both.log' }, 'one for both, two': { out_file: 'both.log', error_file: 'both.log', instances: 2 }, 'one for three': { out_file: 'both.log', error_file: 'both.log', log_file: 'both.log' },
    'the other one': { out_file: 'x-error.log', error_file: 'x-out.log' }, 'only errors': { out_file: 'NULL', error_file: 'own.log' }, 'only both': { out_file: '/dev/null', error_file: '/dev/null', log_file: 'own.log' },
    'log_file true': { log_file: true }, 'log_file true, two': { log_file: true, instances: 2 }, 'log_file true, merged': { log_file: true, instances: 2, merge_logs: true }, 'log_file false': { log_file: false },
    'like the default': { out_file: t.home('logs', 'app-out.log') }, 'a name with a number': { name: 'app-0', out_file: 'app-0.log' }, 'a name with a slash': { name: 'a/b', log_file: true }
  }
  t.record('pairs', await tryCases(t, pairs, object({})))
  t.tree('files of the home')
  t.tree('files of the folder', t.cwd())
}
