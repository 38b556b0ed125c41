// How a stop ends: apps that obey, that ignore signals, that have children, that want a message.
import { follow, outcome, rest, rested, shell } from '../lib/policy-cases.mjs'

const stubborn = `trap '' INT; echo begun; while :; do sleep 0.05; done`
const node = (name, options) => ({ name, script: 'policy-shutdown.js', ...options })

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  const stops = {
    'obeys': shell('', `trap 'exit 7' INT; echo begun; while :; do sleep 0.05; done`),
    'obeys with code 0': shell('', `trap 'exit 0' INT; echo begun; while :; do sleep 0.05; done`),
    'dies by the signal': shell('', 'echo begun; exec sleep 300'),
    'ignores SIGINT': shell('', stubborn, { kill_timeout: 300 }),
    'ignores SIGINT a while': shell('', stubborn, { kill_timeout: '300' }),
    'ignores SIGINT alone': shell('', stubborn, { kill_timeout: 300, treekill: false }),
    'message': node('', { shutdown_with_message: true }),
    'message ignored': node('', { shutdown_with_message: true, args: 'ignore', kill_timeout: 400 }),
    'message and no treekill': node('', { shutdown_with_message: true, treekill: false }),
    'no message wanted': node(''),
    'message to a native app': shell('', 'echo begun; exec sleep 300', { shutdown_with_message: true, kill_timeout: 400 }),
  }
  for (const [name, app] of Object.entries(stops)) {
    await t.quiet.start({ ...app, name, min_uptime: 100, autorestart: true })
    const { pid } = await t.online(name)
    await t.contains(`logs/${name.replaceAll(' ', '-')}-out.log`, 'begun')
    await t.sleep(120) // older than min_uptime
    t.record(`${name}: outcome`, outcome(await t.quiet.stop(name)))
    t.record(`${name}: dead`, !t.alive(pid))
    await rested(t, said, name, 60)
    t.record(name, rest(await t.proc(name)))
    t.record(`events of ${name}`, said(name))
    t.record(`output of ${name}`, t.read(`logs/${name.replaceAll(' ', '-')}-out.log`))
    await t.quiet.delete('all')
  }

  // Two at once.
  await t.quiet.start({ ...shell('both', stubborn, { kill_timeout: 500 }) })
  await t.contains('logs/both-out.log', 'begun')
  const first = t.quiet.stop('both')
  await t.status('both', 'stopping')
  t.record('second stop', outcome(await t.quiet.stop('both')))
  t.record('first stop', outcome(await first))
  t.record('both', rest(await t.proc('both')).status)
}
