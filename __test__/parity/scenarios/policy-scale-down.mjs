// scale by a negative number. The client of npm pm2 does not survive it, so it is the last call.
import { outcome, sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start(sleeper('app', { instances: 3, exec_mode: 'fork' }))
  t.record('one less', outcome(await t.quiet.with({ timeout: 3_000 }).scale('app', '-1')))
}
