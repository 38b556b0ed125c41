// How often a dying app is started again, for limits of all kinds.
import { follow, recordEnds, shell } from '../lib/policy-cases.mjs'

const crash = (deaths, options, command = 'exit 3') => ({ app: shell('', command, options), deaths })

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  await recordEnds(t, said, {
    'the default limit': crash(16, {}),
    'one attempt': crash(1, { max_restarts: 1 }),
    'two attempts': crash(2, { max_restarts: 2 }),
    'seven attempts, text': crash(7, { max_restarts: '7' }),
    'no attempt': crash(16, { max_restarts: 0 }),
    'more than the default': crash(20, { max_restarts: 20 }),
    'exit code 0': crash(4, { max_restarts: 4 }, 'exit 0'),
    'exit code 255': crash(4, { max_restarts: 4 }, 'exit 255'),
    'killed by SIGKILL': crash(4, { max_restarts: 4 }, 'kill -9 $$'),
    'killed by SIGTERM': crash(4, { max_restarts: 4 }, 'kill -TERM $$'),
    'killed by SIGINT': crash(4, { max_restarts: 4 }, 'kill -INT $$'),
    'long min_uptime': crash(3, { max_restarts: 3, min_uptime: '5s' }, 'sleep 0.2; exit 3'),
    'short min_uptime': crash(4, { max_restarts: 4, min_uptime: 500 }),
    'autorestart is true': crash(2, { max_restarts: 2, autorestart: true }),
    'another code is a stop code': crash(3, { max_restarts: 3, stop_exit_codes: [4] }),
  })
}
