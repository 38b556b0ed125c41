// One app's whole life in cluster mode.
import { followAll, node } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  await bus.start({ ...node('app', 'alive.js'), exec_mode: 'cluster' })
  await t.online('app')
  await t.until('the line is on the bus', () => bus.logs('app') === 'alive\n')
  await t.quiet.restart('app')
  await t.until('twice', () => bus.logs('app') === 'alive\nalive\n')
  await t.quiet.reload('app')
  await t.until('thrice', () => bus.logs('app') === 'alive\nalive\nalive\n')
  await t.quiet.stop('app')
  await t.quiet.stop('app')
  await bus.start('app')
  await t.until('once more', () => bus.logs('app') === 'alive\nalive\nalive\nalive\n')
  await t.quiet.delete('app')
  await bus.record('app')
  bus.recordLogs('app')
}
