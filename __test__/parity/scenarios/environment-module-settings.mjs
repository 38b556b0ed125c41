// Settings that module_conf.json holds for the name of an app.
import fs from 'node:fs'
import { recordStarts, recordSteps, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

const settings = {
  configured: { level: 'high', count: 5, on: true, nothing: null, list: [1], OWN: 'settings', PATH: '/settings' },
  'beside-script': { level: 'high', count: 5, on: true, OWN: 'settings' },
  text: 'just text',
  empty: {},
  'module-db-v2': {},
}

export async function run(pm2, t) {
  await pm2.connect()
  fs.writeFileSync(t.home('module_conf.json'), JSON.stringify(settings))
  await recordStarts(t, {
    object: { start: [sleeper({ name: 'configured', env: { OWN: 'own' } })] },
    chosen: { start: [sleeper({ name: 'configured-chosen', env: { OWN: 'own' }, env_production: { OWN: 'chosen' } }), { env: 'production' }] },
    script: { start: sleeperScript({ name: 'beside-script', env: { OWN: 'own' } }) },
    text: { start: [sleeper({ name: 'text' })] },
    empty: { start: [sleeper({ name: 'empty' })] },
    unknown: { start: [sleeper({ name: 'unknown' })] },
  })
  await t.quiet.delete('all')
  const write = (level) => () => fs.writeFileSync(t.home('module_conf.json'), JSON.stringify({ app: { level } }))
  await recordSteps(t, 'changed settings', [write('low'), ['start', sleeper({ name: 'app' })], write('high'), ['restart', 'app'], ['restart', 'app', { updateEnv: true }], ['restart', sleeper({ name: 'app' })]])
  fs.writeFileSync(t.home('module_conf.json'), '{ broken')
  await recordStarts(t, { 'broken file': { start: [sleeper({ name: 'app' })] } })
}
