// One app's whole life in cluster mode.
import { node, recordLife } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  await recordLife(t, { ...node('app', 'alive.js'), exec_mode: 'cluster' })
}
