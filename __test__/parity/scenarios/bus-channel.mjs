// Messages to apps, in both modes, in both forms of the call, to apps that are not there; and their answers.
import { followAll, node } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  const values = ['text', 0, '', false, null, [1, [2]], { a: { b: 'ä\u2028' } }, true]
  for (const [mode, options] of Object.entries({ fork: {}, cluster: { exec_mode: 'cluster' } })) {
    await bus.start({ ...node(mode, 'echo.js'), ...options })
    await t.until(`${mode} listens`, () => bus.logs(mode).includes('listening'))
    const { pm_id: id } = await t.proc(mode)
    const send = (as, ...args) => pm2.with({ as: `${mode}: ${as}` }).sendDataToProcessId(...args)
    for (const data of values) await send(JSON.stringify(data), { id, type: 'process:msg', topic: 'x', data })
    await send('id and packet', id, { topic: 'x', data: 1 })
    await send('id as text', String(id), { topic: 'x', data: 1 })
    await send('id twice', id, { id: 77, topic: 'x', data: 1 })
    await send('more fields', { id, topic: 'x', data: 1, own: [1] })
    await send('no data', { id, topic: 'x' })
    await send('no id', { topic: 'x', data: 1 })
    await send('unknown', { id: 99, topic: 'x', data: 1 })
    await t.until(`${mode} has answered`, () => bus.count(mode, 'process:msg') === values.length + 4)
    await t.quiet.stop(mode)
    await send('stopped', { id, topic: 'x', data: 1 })
    bus.recordLogs(mode)
  }
  await bus.record('fork', 'cluster')
}
