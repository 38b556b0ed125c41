// Restart, reload, stop and start by name, with and without updateEnv, after the variables of the caller changed.
import { recordSteps, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

const before = { COLOUR: 'blue', GONE: 'yes', OWN_AND_INHERITED: 'inherited' }
const after = { COLOUR: 'red', GONE: null, NEW: 'yes', OWN_AND_INHERITED: 'changed' }
const object = (options) => ['start', sleeper({ name: 'app', env: { OWN: '1', OWN_AND_INHERITED: 'own' }, ...options })]
const script = (options) => ['start', ...sleeperScript({ name: 'app', env: { OWN: '1', OWN_AND_INHERITED: 'own' }, ...options })]

export async function run(pm2, t) {
  await pm2.connect()
  const steps = (name, ...list) => recordSteps(t, name, [before, ...list])
  await steps('restart', object(), after, ['restart', 'app'])
  await steps('restart with updateEnv', object(), after, ['restart', 'app', { updateEnv: true }], ['restart', 'app'])
  await steps('restart without update', object(), after, ['restart', 'app', { updateEnv: false }])
  await steps('restart by id', object(), after, ['restart', 'all', { updateEnv: true }])
  await steps('reload', object(), after, ['reload', 'app'], ['reload', 'app', { updateEnv: true }])
  await steps('started by script', script(), after, ['restart', 'app'], ['restart', 'app', { updateEnv: true }])
  await steps('env beside the name', script(), after, ['restart', 'app', { env: { OWN: '2' } }], ['restart', 'app', { env: { OWN: '3' }, updateEnv: true }])
  await steps('stopped and restarted', object(), ['stop', 'app'], after, ['restart', 'app'])
  await steps('stopped and restarted with updateEnv', object(), ['stop', 'app'], after, ['restart', 'app', { updateEnv: true }])
  await steps('stopped and started', object(), ['stop', 'app'], after, ['start', 'app'])
  await steps('running and started', object(), after, ['start', 'app'])
  await steps('filtered', object({ filter_env: ['COLOUR'] }), after, ['restart', 'app', { updateEnv: true }])
  await steps('port', object({ port: 3000 }), { ...after, PORT: '5' }, ['restart', 'app', { updateEnv: true }])
}
