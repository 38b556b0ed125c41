// Signals by id and by name, good and bad ones.
import { follow, outcome, rest, rested, sleeper } from '../lib/policy-cases.mjs'

const listener = (name) => ({ name, script: 'policy-signals.js', min_uptime: 100 })

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  await t.quiet.start(listener('a'))
  await t.quiet.start({ ...listener('twins'), instances: 2, exec_mode: 'fork', merge_logs: true })
  await t.quiet.start({ ...listener('grouped'), namespace: 'group' })
  await t.quiet.start(sleeper('stopped'))
  await t.quiet.stop('stopped')
  for (const name of ['a', 'grouped']) await t.contains(`logs/${name}-out.log`, 'begun')
  await t.contains('logs/twins-out.log', 'begun', 2)

  const heard = async (name, file, call) => {
    const before = t.read(file)
    const said = outcome(await call())
    const heard = () => t.read(file).slice(before.length)
    // One that is not meant to arrive shows by a wait alone.
    for (let n = 0; n < 20 && (heard() === '' || n < 4); n++) await t.sleep(25)
    t.record(name, { outcome: said, heard: heard() })
  }
  for (const signal of ['SIGUSR2', 'USR2', 'sigusr2', 12, '12', 'SIGHUP', 'SIGWINCH', 'SIGCONT', 'SIGNOPE', 0, 999]) {
    const text = JSON.stringify(signal)
    await heard(`id, ${text}`, 'logs/a-out.log', () => t.quiet.sendSignalToProcessId(signal, 0))
    await heard(`name, ${text}`, 'logs/a-out.log', () => t.quiet.sendSignalToProcessName(signal, 'a'))
  }
  for (const id of ['0', 99, '99', 'a', -1, 4, '4']) await heard(`to the id ${JSON.stringify(id)}`, 'logs/a-out.log', () => t.quiet.sendSignalToProcessId('SIGUSR2', id))
  for (const name of ['nope', 'stopped', '', '0', 'A']) await heard(`to the name ${JSON.stringify(name)}`, 'logs/a-out.log', () => t.quiet.sendSignalToProcessName('SIGUSR2', name))
  await heard('to twins', 'logs/twins-out.log', () => t.quiet.sendSignalToProcessName('SIGUSR2', 'twins'))

  // Deadly ones are followed by a restart.
  await t.quiet.sendSignalToProcessName('SIGKILL', 'a')
  await t.online('a', 1)
  await rested(t, said, 'a')
  t.record('after SIGKILL', rest(await t.proc('a')))
  await t.quiet.sendSignalToProcessId('SIGINT', 0)
  await t.online('a', 2)
  t.record('after SIGINT', rest(await t.proc('a')))
  t.record('to a namespace', outcome(await t.quiet.with({ timeout: 2_000 }).sendSignalToProcessName('SIGUSR2', 'group')))
  await t.quiet.delete('all')
}
