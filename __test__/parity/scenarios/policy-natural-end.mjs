// Node apps whose work is done: with the probe of PM2 they end up to three seconds later than the work does.
import { follow, recordEnds } from '../lib/policy-cases.mjs'

const done = (options) => ({ script: 'policy-done.js', ...options })

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  await recordEnds(t, said, {
    'no restart': { app: done({ autorestart: false, min_uptime: 60_000 }), deaths: 1 },
    'no restart, no probe': { app: done({ autorestart: false, pmx: false, min_uptime: 60_000 }), deaths: 1 },
    'no restart, code of its own': { app: done({ autorestart: false, args: '6', min_uptime: 60_000 }), deaths: 1 },
    'stop code 0': { app: done({ stop_exit_codes: [0], min_uptime: 60_000 }), deaths: 1 },
    'no probe, given up': { app: done({ pmx: false, max_restarts: 2, min_uptime: 4_000 }), deaths: 2 },
    'uncaught exception, given up': { app: { script: 'throw.js', max_restarts: 2, min_uptime: 4_000 }, deaths: 2 },
    'with the probe': { app: done({ max_restarts: 2 }), lives: 3 },
  })
}
