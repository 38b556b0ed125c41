// What the daemon costs while nothing happens: its share of a core, over a time in which PM2's worker comes round.

import { call, connected, daemonPid, pause, sleepers, startAll } from '../lib/api.mjs'
import { cpuTime } from '../lib/cpu.mjs'

const SETTLING_MS = 3000
const WATCHED_MS = 35_000

export const rows = [
  { key: 'plain', label: 'share of a core, 300 idle apps', unit: '%', target: { atMost: 0.1 } },
  { key: 'limited', label: 'the same, each with a memory limit', unit: '%' },
]

export async function measure({ load, home }) {
  const pm2 = await connected(load)
  await startAll(pm2, sleepers(300))
  const plain = await share(home)
  await call(pm2, 'delete', 'all')
  await startAll(
    pm2,
    sleepers(300).map((app) => ({ ...app, max_memory_restart: '200M' })),
  )
  return { plain, limited: await share(home) }
}

async function share(home) {
  await pause(SETTLING_MS)
  const pid = daemonPid(home)
  const [before, start] = [cpuTime(pid), performance.now()]
  await pause(WATCHED_MS)
  return ((cpuTime(pid) - before) / (performance.now() - start)) * 100
}
