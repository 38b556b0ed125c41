// `stop('all')` of apps that obey the first signal at once.

import { call, connected, sleepers, startAll, timed } from '../lib/api.mjs'

export const rows = [{ key: 'stop', label: "stop('all'), 50 obedient apps", unit: 'ms', target: { ratio: 30 } }]

export async function measure({ load }) {
  const pm2 = await connected(load)
  const pids = (await startAll(pm2, sleepers(50))).map(({ pid }) => pid)
  const stop = await timed(() => call(pm2, 'stop', 'all'))
  const left = pids.filter(isRunning)
  if (left.length > 0) throw new Error(`${left.length} apps outlive their stop`)
  return { stop }
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
