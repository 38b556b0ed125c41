// Apps choose topics freely, also those of the daemon.
import { followAll, speaker } from '../lib/bus-cases.mjs'

const topics = ['log:out', 'log:err', 'process:event', 'process:exception', 'human:event', 'axm:reply', 'axm:trace', 'pm2:overflow', 'log:PM2', 'ä *', 'a'.repeat(300), 7, true, ['x']]

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  for (const [mode, options] of Object.entries({ fork: {}, cluster: { exec_mode: 'cluster' } })) {
    await bus.start(speaker(mode, [...topics.map((type, n) => ({ type, data: { n } })), { type: 'end', data: 1 }], options))
    await t.until(`${mode} has said all`, () => bus.count(mode, 'end') === 1)
    const own = bus.packets.filter(({ packet }) => packet.process?.name === mode && packet.data?.n !== undefined)
    t.record(mode, own.map(({ topic, packet: { data, process } }) => ({ topic, data, process })))
  }
}
