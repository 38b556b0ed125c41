// New options beside the name of a running app, in a process that has started no app object yet.
import { groups, recordChanges } from '../lib/changed-options.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start('binary.sh', { name: 'app', interpreter: 'none' })
  await recordChanges(t, Object.fromEntries(Object.entries(groups).map(([name, options]) => [name, ['restart', 'app', structuredClone(options)]])))
}
