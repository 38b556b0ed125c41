// The last that a bus says: by killDaemon, and by a signal to the daemon.
import { followAll, node } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  for (const how of ['call', 'signal']) {
    await t.quiet.connect()
    const bus = await followAll(t)
    await bus.start(node('app', 'alive.js'))
    await t.until('the line is on the bus', () => bus.logs('app') === 'alive\n')
    if (how === 'call') await t.quiet.killDaemon()
    else process.kill(Number(t.read('pm2.pid')), 'SIGTERM')
    const last = () => bus.packets.filter(({ topic }) => topic === 'pm2:kill')
    await t.until('the end is told', () => last().length > 0)
    t.record(`${how}: last`, last())
    t.record(`${how}: app`, bus.of('app').map(({ topic, packet }) => `${topic} ${packet.event} ${packet.process.status}`))
    bus.bus.close()
    await t.refused('rpc.sock')
    await t.quiet.with({ timeout: 1000 }).disconnect()
  }
}
