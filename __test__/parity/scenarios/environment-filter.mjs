// Inherited variables that are left out.
import { recordStarts, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

const filters = {
  array: ['SECRET'], parts: ['SEC', 'OKEN'], 'upper and lower': ['secret'], 'empty array': [], 'array of empty text': [''], number: [5], text: 'SECRET_A', 'part as text': 'SECRET', 'empty text': '', on: true, off: false,
}

export async function run(pm2, t) {
  await pm2.connect()
  const caller = { SECRET_A: '1', SECRET_B: '2', TOKEN: '3', KEPT: '4' }
  const cases = {}
  for (const [title, filter_env] of Object.entries(filters)) {
    const name = title.replaceAll(' ', '-')
    cases[`object: ${title}`] = { caller, start: [sleeper({ name: `o-${name}`, filter_env, env: { SECRET_B: 'own' } })] }
    cases[`script: ${title}`] = { caller, start: sleeperScript({ name: `s-${name}`, filterEnv: filter_env, env: { SECRET_B: 'own' } }) }
  }
  await recordStarts(t, cases)
  // A variable that the app brings itself is not inherited.
  await recordStarts(t, { 'own variable': { caller, start: [sleeper({ name: 'own', filter_env: ['SECRET', 'PATH'], env: { SECRET_A: 'own', PATH: '/usr/bin' } })] } })
  // Names that are else not inherited.
  await recordStarts(t, { 'fields of an outer app': { caller: { ...caller, name: 'outer', merge_logs: 'false', status: 'online' }, start: [sleeper({ name: 'inner', filter_env: ['SECRET'] })] } })
  t.record('variables of the caller', Object.keys(process.env).filter((name) => /SECRET|TOKEN/.test(name)))
}
