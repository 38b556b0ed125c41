// The same app object again: with the same variables, other values, fewer, more, none, another choice.
import { recordSteps, sleeper } from '../lib/environment-cases.mjs'

const app = (env, more) => sleeper({ name: 'app', ...(env ? { env } : {}), ...more })
const inherited = { COLOUR: 'blue', SHAPE: 'inherited' }
const changed = { COLOUR: 'red', NEW: 'yes' }
const environments = { env_production: { MODE: 'production', ONLY: 'production' }, env_staging: { MODE: 'staging' } }

const cases = {
  'nothing changed': [['start', app({ A: '1' })], ['start', app({ A: '1' })], ['restart', app({ A: '1' })]],
  'value changed': [['start', app({ A: '1' })], ['restart', app({ A: '2' })]],
  'variable removed': [['start', app({ A: '1', B: '1' })], ['restart', app({ A: '1' })]],
  'variable removed that the caller has': [['start', app({ A: '1', SHAPE: 'own' })], ['restart', app({ A: '1' })]],
  'variable added': [['start', app({ A: '1' })], ['restart', app({ A: '1', B: '2' })]],
  'variable added that the caller has': [['start', app({ A: '1' })], ['restart', app({ A: '1', SHAPE: 'own' })]],
  'all at once': [['start', app({ A: '1', B: '1', C: '1' })], ['restart', app({ B: '2', D: '1', C: '1' })]],
  'no env any more': [['start', app({ A: '1' })], ['restart', app()]],
  'empty env': [['start', app({ A: '1' })], ['restart', app({})]],
  'env for the first time': [['start', app()], ['restart', app({ A: '1' })]],
  'removed and back': [['start', app({ A: '1', B: '1' })], ['restart', app({ A: '1' })], ['restart', app({ A: '1', B: '2' })]],
  'removed, restarted by name': [['start', app({ A: '1', B: '1' })], ['restart', app({ A: '1' })], ['restart', 'app'], ['restart', 'app', { updateEnv: true }]],
  'caller changed, env kept': [['start', app({ A: '1' })], changed, ['restart', app({ A: '1' })]],
  'caller changed, no env': [['start', app()], changed, ['restart', app()]],
  'caller changed, value changed': [['start', app({ A: '1' })], changed, ['restart', app({ A: '2' })]],
  'caller changed, removed': [['start', app({ A: '1', SHAPE: 'own' })], { SHAPE: 'other' }, ['restart', app({ A: '1' })]],
  'caller removed': [['start', app({ A: '1' })], { SHAPE: null }, ['restart', app({ A: '1' })]],
  'choice made': [['start', app({ MODE: 'base' }, environments)], ['restart', app({ MODE: 'base' }, environments), { env: 'production' }]],
  'choice changed': [['start', app({ MODE: 'base' }, environments), { env: 'production' }], ['restart', app({ MODE: 'base' }, environments), { env: 'staging' }]],
  'choice dropped': [['start', app({ MODE: 'base' }, environments), { env: 'production' }], ['restart', app({ MODE: 'base' }, environments)]],
  'choice kept, value changed': [['start', app({ MODE: 'base' }, environments), { env: 'staging' }], ['restart', app({ MODE: 'base' }, { env_staging: { MODE: 'other' } }), { env: 'staging' }]],
  'choice without env': [['start', app(undefined, environments), { env: 'production' }], ['restart', app(undefined, environments), { env: 'staging' }]],
  'port changed': [['start', app({ A: '1' }, { port: 3000 })], ['restart', app({ A: '1' }, { port: 4000 })]],
  'port removed': [['start', app({ A: '1' }, { port: 3000 })], ['restart', app({ A: '1' })]],
  'objects as values': [['start', app({ A: { a: 1 } })], ['restart', app({ A: { a: 2 } })], ['restart', app({ A: null })]],
  'started after a stop': [['start', app({ A: '1', B: '1' })], ['stop', 'app'], changed, ['start', app({ A: '2' })]],
  'array and apps': [['start', [app({ A: '1', B: '1' })]], ['restart', { apps: [app({ A: '2' })] }]],
  'started by script': [['start', '/bin/sleep', { name: 'app', scriptArgs: ['300'], interpreter: 'none', env: { A: '1', B: '1' } }], changed, ['start', app({ A: '2' })]],
}

export async function run(pm2, t) {
  await pm2.connect()
  for (const [name, steps] of Object.entries(cases)) await recordSteps(t, name, [inherited, ...steps])
}
