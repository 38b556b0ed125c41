// Ends that nobody asked for: exits, crash loops, signals, natural ends; and what apps said before.
import { followAll, node } from '../lib/bus-cases.mjs'
import { shell } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  const apps = [
    [shell('once', 'exit 3', { autorestart: false }), 1],
    [shell('zero', 'exit 0', { autorestart: false }), 1],
    [shell('loop', 'exit 4', { max_restarts: 3 }), 3],
    [shell('delayed', 'exit 5', { restart_delay: 300, max_restarts: 2 }), 2],
    [shell('stop code', 'exit 6', { stop_exit_codes: [6] }), 1],
    [{ ...node('speaks', 'last-words.js', '50'), autorestart: false }, 1],
    [{ ...node('speaks in a cluster', 'last-words.js', '50'), autorestart: false, exec_mode: 'cluster' }, 1],
    [shell('killed', 'kill -9 $$', { autorestart: false }), 1],
  ]
  for (const [app] of apps) await bus.start(app)
  for (const [{ name }, deaths] of apps) await t.until(`${name} has ended`, () => bus.count(name, 'process:event', 'exit') === deaths)
  await bus.record(...apps.map(([{ name }]) => name))
}
