// scale in fork mode: which ids come and go, and their instance numbers.
import { outcome, sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const table = async (name) => t.record(name, (await t.all()).map(({ name, pm_id, pm2_env: env }) => `${pm_id} ${name} ${env.NODE_APP_INSTANCE} ${env.status} ${env.restart_time} ${env.instances}`))
  const scale = async (name, target, number) => {
    t.record(`${name}: outcome`, outcome(await t.quiet.scale(target, number)))
    await table(name)
  }
  await t.quiet.start(sleeper('app', { instances: 2, exec_mode: 'fork' }))
  await table('two')
  await scale('to four', 'app', 4)
  await t.quiet.start(sleeper('between'))
  await scale('one more', 'app', '+1')
  await scale('three more', 'app', '+3')
  await t.quiet.delete(2)
  await scale('fills the gap', 'app', '+1')
  await t.quiet.restart('app')
  await scale('of restarted', 'app', '+1')
  await t.quiet.stop(3)
  await scale('one of them stopped', 'app', '+1')
  await scale('to two', 'app', 2)
  await scale('same number', 'app', 2)
  await scale('number as text', 'app', '3')
  await scale('no more', 'app', '+0')
  await scale('unknown', 'nope', 2)
  await t.quiet.delete('all')
  await t.quiet.start(sleeper('app'))
  await table('ids begin again')
  await t.quiet.stop('app')
  await scale('stopped to two', 'app', 2)
  await t.quiet.start(sleeper('other', { instances: 3, exec_mode: 'fork', instance_var: 'NR' }))
  await scale('another variable', 'other', 4)
  t.record('variable', (await t.all()).filter(({ name }) => name === 'other').map(({ pm2_env: env }) => env.NR))
  await scale('other to zero', 'other', 0)
  await scale('no number', 'other', 'x')
}
