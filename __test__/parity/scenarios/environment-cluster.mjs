// What process.env of cluster workers holds.
import { printer, recordStarts, recordSteps } from '../lib/environment-cases.mjs'

export async function run(pm2, t) {
  process.env.AT_LAUNCH = 'daemon'
  await pm2.connect()
  delete process.env.AT_LAUNCH
  const cluster = (options) => printer({ instances: 1, ...options })
  await recordStarts(t, {
    plain: { caller: { FROM_CALLER: 'yes' }, start: [cluster({ name: 'plain' })] },
    values: { start: [cluster({ name: 'values', env: { TEXT: 'x', EMPTY: '', NUMBER: 5, YES: true, NULL: null, OBJECT: { a: 1 }, LIST: [1, 2], LINES: 'a\nb', UTF: 'grüße', 'odd name': '1' } })] },
    script: { start: ['print-env.js', { name: 'script', instances: 1, env: { TEXT: 'x', OBJECT: { a: 1 }, NULL: null } }] },
    two: { start: [cluster({ name: 'two', instances: 2, port: 3000 })] },
    lists: { start: [cluster({ name: 'lists', args: 'a "b c"', stop_exit_codes: [1, 2], ignore_watch: ['x'], filter_env: ['SECRET'] })] },
    chosen: { start: [cluster({ name: 'chosen', env: { A: '1' }, env_production: { A: '2' } }), { env: 'production' }] },
    agent: { start: [cluster({ name: 'agent', io: { a: 1 } })] },
  })
  await t.quiet.delete('all')
  const app = (env, name = 'app') => cluster({ name, env })
  await recordSteps(t, 'restarted', [{ COLOUR: 'blue' }, ['start', app({ OWN: '1' })], { COLOUR: 'red' }, ['restart', 'app'], ['restart', 'app', { updateEnv: true }], ['restart', app({ OWN: '2' })]])
  await recordSteps(t, 'reloaded', [{ COLOUR: 'blue' }, ['start', app({ OWN: '1' }, 'rolling')], { COLOUR: 'red' }, ['reload', 'rolling'], ['reload', 'rolling', { updateEnv: true }]], 'rolling')
}
