// Every kind of value that an app can send, in both modes.
import { followAll, speaker } from '../lib/bus-cases.mjs'

const values = [
  'text', '', 'ready', 0, 1.5, true, [], [1, 'a', null], {}, { a: { b: [] } },
  { type: 'own', data: { a: 1 } }, { type: 'own', data: 'text' }, { type: 'own', data: [1] }, { type: 'own', data: 7 },
  { type: 'own', data: 0 }, { type: 'own', data: '' }, { type: 'own', data: false }, { type: 'own', data: null }, { type: 'own' }, { data: 1 },
  { type: '', data: 1 }, { type: 'own', data: true, more: 'dropped' }, { type: 'process:msg', data: { success: true } }, { topic: 'x', data: { b: 2 } },
  { text: 'ä€😀\u2028"\\\n' },
]

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  // One by one: npm pm2 turns the order of raw and typed messages round in fork mode.
  for (const [mode, options] of Object.entries({ fork: {}, cluster: { exec_mode: 'cluster' } })) {
    for (const [n, value] of values.entries()) {
      const name = `${mode} ${n}`
      await bus.start(speaker(name, [value, { type: 'end', data: 1 }], options))
      await t.until(`the end of ${name}`, () => bus.count(name, 'end') === 1)
    }
    await t.quiet.delete(`/^${mode} /`)
    for (const n of values.keys()) {
      const said = bus.of(`${mode} ${n}`).filter(({ topic }) => topic !== 'process:event' && topic !== 'end')
      t.record(`${mode} ${JSON.stringify(values[n])}`, said.map(({ topic, packet: { at, ...packet } }) => ({ topic, keys: Object.keys(packet).join(), at: typeof at, packet })))
    }
  }
}
