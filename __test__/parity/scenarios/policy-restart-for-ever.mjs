// Apps that never come to rest: their deaths do not count as unstable.
import { follow, recordEnds, shell } from '../lib/policy-cases.mjs'

const dies = (lives, command, options) => ({ app: shell('', command, options), lives })

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  await recordEnds(t, said, {
    'each life is longer than min_uptime': dies(5, 'sleep 0.4; exit 1', { min_uptime: 100, max_restarts: 2 }),
    'one long life outlasts the window': dies(12, 'test -e second || { : > second; sleep 1.2; }; exit 1', { min_uptime: 100, max_restarts: 3 }),
    'delays outlast the window': dies(6, 'exit 1', { restart_delay: 250, min_uptime: 100, max_restarts: 2 }),
    'exit code 0 after min_uptime': dies(4, 'sleep 0.4', { min_uptime: 100, max_restarts: 1 }),
  })
}
