// The whole process object of events.
import { followAll, node } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  await bus.start({ ...node('fork', 'alive.js'), env: { OWN: '1' } })
  await bus.start({ ...node('cluster', 'alive.js'), exec_mode: 'cluster' })
  for (const name of ['fork', 'cluster']) await t.until(`${name} runs`, () => bus.logs(name) === 'alive\n')
  await t.quiet.delete('all')
  for (const name of ['fork', 'cluster']) await t.until(`${name} has ended`, () => bus.count(name, 'process:event', 'exit') === 2)
  for (const name of ['fork', 'cluster']) {
    for (const { packet } of bus.of(name).filter(({ topic }) => topic === 'process:event')) {
      t.record(`${name} ${packet.event} ${packet.process.status}`, packet)
    }
  }
}
