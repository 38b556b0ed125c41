// Calls about an app that waits for its restart.
import { follow, outcome, rest, rested, shell } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  const remote = (method, argument) => () => t.quiet.client.executeRemote(method, argument)
  const calls = {
    stop: () => t.quiet.stop('stop'),
    'stop twice': async () => { await t.quiet.stop('stop twice'); return t.quiet.stop('stop twice') },
    delete: () => t.quiet.delete('delete'),
    reset: () => t.quiet.reset('reset'),
    signal: (id) => remote('sendSignalToProcessId', { process_id: id, signal: 'SIGUSR1' })(),
    line: (id) => t.quiet.sendLineToStdin(id, 'x'),
    data: (id) => t.quiet.sendDataToProcessId(id, { topic: 'x', data: 1, type: 'process:msg' }),
    restart: () => t.quiet.restart('restart'),
    reload: () => t.quiet.reload('reload'),
    start: (id) => remote('startProcessId', id)(),
    duplicate: (id) => remote('duplicateProcessId', id)(),
    'stop, then restart': async () => { await t.quiet.stop('stop, then restart'); return t.quiet.restart('stop, then restart') },
  }
  for (const [name, call] of Object.entries(calls)) {
    await t.quiet.start(shell(name, `test -e '${name}' && exec sleep 300; : > '${name}'; exit 9`, { restart_delay: 600_000 }))
    const { pm_id } = await t.status(name, 'waiting restart')
    t.record(`${name}: outcome`, outcome(await call(pm_id)))
    await rested(t, said, name)
    t.record(name, rest(await t.proc(name)))
    t.record(`events of ${name}`, said(name))
    await t.quiet.delete('all')
  }
  // The wait goes on, and is cut by nothing but time.
  await t.quiet.start(shell('goes on', 'test -e calm && exec sleep 300; : > calm; exit 9', { restart_delay: 700 }))
  await t.status('goes on', 'waiting restart')
  await t.quiet.reset('goes on')
  t.record('goes on', rest(await t.online('goes on')))
}
