// Errors that nobody caught, in both modes.
import { followAll, node } from '../lib/bus-cases.mjs'

const ways = ['throw', 'text', 'object', 'reject', 'reject text', 'caught']

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  const names = []
  for (const [mode, options] of Object.entries({ fork: {}, cluster: { exec_mode: 'cluster' } })) {
    for (const way of ways) {
      const name = `${mode} ${way}`
      names.push(name)
      await bus.start({ ...node(name, 'fail.js', way), autorestart: false, ...options })
      await t.until(`${name} has failed`, () => bus.count(name, 'process:exception') > 0)
    }
  }
  await t.until('caught ones go on', () => ['fork', 'cluster'].every((mode) => bus.logs(`${mode} caught`).includes('caught')))
  await bus.record(...names)
  await t.summary('list', 'exit_code')
}
