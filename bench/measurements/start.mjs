// `start()` of native apps until the callback: one app, and many in one call.

import { call, connected, sleepers, timed } from '../lib/api.mjs'
import { median } from '../lib/statistics.mjs'

export const rows = [
  { key: 'one', label: 'start one native app', unit: 'ms' },
  { key: 'many', label: 'start 50 native apps in one call', unit: 'ms', target: { ratio: 6 } },
]

export async function measure({ load }) {
  const pm2 = await connected(load)
  const single = []
  for (const app of sleepers(5, 'one')) single.push(await timed(() => call(pm2, 'start', app)))
  const apps = sleepers(50, 'many')
  const many = await timed(() => call(pm2, 'start', apps))
  const nOnline = (await call(pm2, 'list')).filter(({ pm2_env: { status } }) => status === 'online').length
  if (nOnline !== single.length + apps.length) throw new Error(`only ${nOnline} apps are online`)
  return { one: median(single), many }
}
