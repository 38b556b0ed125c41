// 300 native apps: `start()` of all in one call, then `delete('all')`.

import { call, connected, sleepers, timed } from '../lib/api.mjs'

export const rows = [
  { key: 'start', label: 'start 300 native apps in one call', unit: 'ms', target: { ratio: 8, informational: true } },
  { key: 'delete', label: "delete('all'), 300 obedient apps", unit: 'ms', target: { ratio: 40, informational: true } },
]

export async function measure({ load }) {
  const pm2 = await connected(load)
  const apps = sleepers(300)
  const start = await timed(() => call(pm2, 'start', apps))
  const nListed = (await call(pm2, 'list')).length
  if (nListed !== apps.length) throw new Error(`only ${nListed} apps are listed`)
  const gone = await timed(() => call(pm2, 'delete', 'all'))
  if ((await call(pm2, 'list')).length > 0) throw new Error('apps are left')
  return { start, delete: gone }
}
