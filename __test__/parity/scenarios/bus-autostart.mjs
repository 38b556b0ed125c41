// Apps that are not started at once, started again, restarted together, and reloaded with a farewell.
import { followAll, node } from '../lib/bus-cases.mjs'
import { sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t, { without: ['unstable'] })
  await bus.start(sleeper('idle', { autostart: false }))
  await t.quiet.delete('idle')
  await bus.start(sleeper('app'))
  await bus.start(sleeper('app'))
  await bus.start(sleeper('other'))
  await t.quiet.restart('all')
  await t.quiet.restart('other', { updateEnv: true })
  await bus.start({ ...node('worker', 'policy-shutdown.js'), exec_mode: 'cluster' })
  await t.quiet.gracefulReload('worker')
  await t.quiet.sendSignalToProcessName('SIGKILL', 'app')
  await t.until('it is back', () => bus.count('app', 'process:event', 'online') === 4)
  await t.quiet.stop('all')
  await bus.record('idle', 'app', 'other')
}
