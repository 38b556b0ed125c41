// Several instances: each has events of its own.
import { followAll } from '../lib/bus-cases.mjs'
import { sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  await bus.start(sleeper('app', { instances: 3 }))
  await t.quiet.scale('app', 4)
  await t.quiet.scale('app', 2)
  await t.quiet.restart(3)
  await t.quiet.delete('app')
  await bus.record()
  for (const id of [1, 2, 3, 4]) {
    t.record(`bus of ${id}`, bus.of('app').filter(({ packet }) => packet.process.pm_id === id).map(({ packet: { event, manually, process } }) => ({ event, manually, status: process.status, restarts: process.restart_time })))
  }
}
