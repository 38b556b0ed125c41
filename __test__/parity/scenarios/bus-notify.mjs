// Events that a client has published.
import { followAll } from '../lib/bus-cases.mjs'
import { sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  await bus.start(sleeper('app'))
  const notify = async (argument) => {
    const { error } = await t.quiet.client.executeRemote('notifyByProcessId', argument)
    t.record(JSON.stringify(argument), error?.message ?? 'done')
  }
  await notify({ id: 1, action_name: 'own name', manually: true })
  await notify({ id: '1', action_name: 'by text', manually: false })
  await notify({ id: 1, action_name: 'without manually' })
  await notify({ id: 1, manually: true })
  await notify({ id: 99, action_name: 'unknown' })
  await notify({ action_name: 'nobody' })
  await t.quiet.delete('app')
  await notify({ id: 1, action_name: 'deleted' })
  await bus.record('app')
}
