// Wrong options beside the name of a running app: npm pm2 throws inside its client.
import { recordChanges } from '../lib/changed-options.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start('binary.sh', { name: 'app', interpreter: 'none' })
  await recordChanges(t, {
    'wrong type': ['restart', 'app', { killTimeout: 'x' }],
    'several wrong': ['restart', 'app', { autorestart: 'no', minUptime: 5 }],
    'wrong mode': ['restart', 'app', { execMode: 'threads' }],
    'nothing wrong': ['restart', 'app', { killTimeout: 900 }],
  })
}
