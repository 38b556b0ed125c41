// New options beside the name of a running app, after an app object was started in the same process.
import { canonical, recordChanges } from '../lib/changed-options.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'binary.sh', interpreter: 'none' })
  await recordChanges(t, Object.fromEntries(Object.entries(canonical).map(([name, options]) => [name, ['restart', 'app', structuredClone(options)]])))
}
