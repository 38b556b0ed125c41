// Where an error comes from in an app that was compiled, with source maps and without.
import { followAll, node } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  const ways = { absent: {}, on: { source_map_support: true }, off: { disable_source_map_support: true } }
  for (const [name, options] of Object.entries(ways)) {
    await bus.start({ ...node(name, 'mapped.js'), autorestart: false, ...options })
    await t.until(`${name} has failed`, () => bus.count(name, 'process:exception') > 0)
    const [{ data }] = bus.of(name).filter(({ topic }) => topic === 'process:exception').map(({ packet }) => packet)
    t.record(name, { place: data.callsite, context: data.context, frame: data.stack.split('\n')[1] })
    // An app sees it as well.
    await t.until(`${name} has written`, () => bus.logs(name).includes('\n'))
    t.record(`log of ${name}`, bus.logs(name))
  }
}
