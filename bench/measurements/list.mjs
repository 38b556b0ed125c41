// Round trip of `list()`, one call after the other on one connection.

import { call, connected, sleepers, startAll, timed } from '../lib/api.mjs'
import { median } from '../lib/statistics.mjs'

export const rows = [
  { key: 'few', label: 'list(), 10 apps', unit: 'ms', target: { ratio: 5 } },
  { key: 'many', label: 'list(), 300 apps', unit: 'ms', target: { ratio: 6, informational: true } },
]

export async function measure({ load }) {
  const pm2 = await connected(load)
  await startAll(pm2, sleepers(10, 'few'))
  const few = await perCall(pm2, 300)
  await startAll(pm2, sleepers(290, 'more'))
  const many = await perCall(pm2, 50)
  return { few, many }
}

async function perCall(pm2, nCalls) {
  const times = []
  // The first calls warm both ends up and are not counted.
  for (let index = -10; index < nCalls; index += 1) {
    const time = await timed(() => call(pm2, 'list'))
    if (index >= 0) times.push(time)
  }
  return median(times)
}
