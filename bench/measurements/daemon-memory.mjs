// Resident memory of the daemon, apps not included, after it has come to rest.

import { call, connected, daemonPid, sleepers, startAll } from '../lib/api.mjs'
import { resident, settled } from '../lib/memory.mjs'

export const rows = [
  { key: 'few', label: 'daemon RSS, 10 apps', unit: 'MiB', target: { atMost: 8 } },
  { key: 'many', label: 'daemon RSS, 300 apps', unit: 'MiB', target: { atMost: 16, informational: true } },
]

export async function measure({ load, home }) {
  const pm2 = await connected(load)
  await startAll(pm2, sleepers(10, 'few'))
  const few = await atRest(pm2, home)
  await startAll(pm2, sleepers(290, 'more'))
  const many = await atRest(pm2, home)
  return { few, many }
}

/** After a few questions, as every daemon gets them in its life. */
async function atRest(pm2, home) {
  for (let asked = 0; asked < 5; asked += 1) await call(pm2, 'list')
  const pid = daemonPid(home)
  return settled(() => resident(pid))
}
