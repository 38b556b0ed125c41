// A configuration file that is edited between start and restart: JSON, and JavaScript.
import fs from 'node:fs'
import { recordSteps, sleeper } from '../lib/environment-cases.mjs'

const app = (env, more) => ({ apps: [sleeper({ name: 'app', ...(env ? { env } : {}), ...more })] })
const versions = {
  same: [app({ A: '1', B: '1' }), app({ A: '1', B: '1' })],
  changed: [app({ A: '1', B: '1' }), app({ A: '2', B: '1' })],
  removed: [app({ A: '1', SHAPE: 'own' }), app({ A: '1' })],
  added: [app({ A: '1' }), app({ A: '1', B: '1' })],
  'without env': [app({ A: '1' }), app()],
  choice: [app({ A: '1' }, { env_production: { A: '2', P: '1' } }), app({ A: '1' }, { env_production: { A: '3' } })],
}
const kinds = { 'json': ['edited.json', (value) => JSON.stringify(value)], 'js': ['edited.config.js', (value) => `module.exports = ${JSON.stringify(value)}`] }

export async function run(pm2, t) {
  await pm2.connect()
  for (const [kind, [file, text]] of Object.entries(kinds)) {
    const write = (value) => () => fs.writeFileSync(t.cwd(file), text(value))
    for (const [title, [first, second]] of Object.entries(versions)) {
      const beside = title === 'choice' ? [{ env: 'production' }] : []
      write(first)()
      await recordSteps(t, `${kind} ${title}`, [
        { COLOUR: 'blue', SHAPE: 'inherited' }, ['start', file, ...beside],
        () => { process.env.COLOUR = 'red'; write(second)() }, ['restart', file, ...beside], ['reload', file, ...beside], ['start', file],
      ])
    }
  }
}
