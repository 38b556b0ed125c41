// Restarts that nobody asks for: by a change of a file, by memory, by a schedule that has come.
import fs from 'node:fs'
import { followAll, node } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  fs.mkdirSync('watched')
  await bus.start({ ...node('watched', 'alive.js'), watch: ['watched'] })
  await t.until('it runs', () => bus.logs('watched') === 'alive\n')
  await t.sleep(500)
  fs.writeFileSync('watched/file', 'changed')
  await t.until('it runs again', () => bus.logs('watched') === 'alive\nalive\n')
  await bus.record('watched')
}
