// Options given beside an app object or a file: a few act, the others are ignored.
import { tryCases } from '../lib/option-cases.mjs'
import { label } from '../lib/option-values.mjs'

const beside = [
  {}, { namespace: 'given' }, { watch: true }, { watch: false }, { ignore_watch: ['x'] }, { ignoreWatch: ['x'] }, { instances: 2 }, { instances: '2' }, { instances: 0 }, { cwd: 'sub' }, { cwd: 'missing' },
  { name_prefix: 'pre' }, { name_prefix: 'ap' }, { namePrefix: 'pre' }, { env: 'production' }, { env: 'unknown' }, { env: '' }, { env: 5 }, { env: { A: 1 } }, { only: 'app' }, { only: 'app,other' }, { only: 'other app' },
  { only: 'other' }, { only: '' }, { only: ['app'] }, { max_memory_restart: '1M' }, { maxMemoryRestart: '1M' }, { kill_timeout: 5 }, { kill_timeout: 'x' }, { name: 'x' }, { args: 'x' }, { scriptArgs: ['x'] },
  { autostart: true }, { exec_mode: 'cluster' }, { execMode: 'cluster' }, { interpreter: 'bash' }, { node_args: '--x' }, { merge_logs: false }, { output: 'x.log' }, { time: true }, { uid: 1 }, { gid: 1 }, { uid: 'nobody' },
  { install_url: 'x' }, { force: true }, { unknown: 1 }, { updateEnv: true },
]
const apps = {
  plain: {},
  filled: {
    namespace: 'own', watch: ['sub'], ignore_watch: ['y'], instances: 1, cwd: '.', max_memory_restart: '5M', name_prefix: 'own', append_env_to_name: true, env: { A: 'base' }, env_production: { A: 'chosen', B: 2 },
    uid: 'daemon', args: 'own',
  },
}

export async function run(pm2, t) {
  await pm2.connect()
  const cases = Object.fromEntries(beside.map((options) => [label(options), { options }]))
  for (const [title, app] of Object.entries(apps)) {
    t.record(title, await tryCases(t, cases, ({ options = {} }) => [{ name: 'app', script: 'alive.js', autostart: false, ...structuredClone(app) }, { ...options }]))
  }
}
