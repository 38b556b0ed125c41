// Variables that differ between the instances of an app, also after scaling, deleting and restarting.
import { printer, seenBy, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

const apps = {
  plain: { instances: 3, exec_mode: 'fork' },
  'own variable': { instances: 2, exec_mode: 'fork', instance_var: 'WORKER' },
  'own variable and env': { instances: 2, exec_mode: 'fork', env: { NODE_APP_INSTANCE: '9' } },
  'growing port': { instances: 3, exec_mode: 'fork', increment_var: 'PORT', env: { PORT: 4000 } },
  'growing port as text': { instances: 2, exec_mode: 'fork', increment_var: 'PORT', env: { PORT: '4000' } },
  'growing port option': { instances: 2, exec_mode: 'fork', increment_var: 'PORT', port: 4000 },
  'growing from nothing': { instances: 2, exec_mode: 'fork', increment_var: 'COUNTER' },
  'growing inherited': { instances: 2, exec_mode: 'fork', increment_var: 'INHERITED' },
  'growing word': { instances: 2, exec_mode: 'fork', increment_var: 'WORD', env: { WORD: 'abc' } },
}

export async function run(pm2, t) {
  process.env.INHERITED = '70'
  await pm2.connect()
  for (const [title, options] of Object.entries(apps)) {
    const name = title.replaceAll(' ', '-')
    await t.quiet.start(sleeper({ name, ...options }))
    await record(t, title, name)
    await t.quiet.delete(0)
    await record(t, `${title}: first deleted`, name)
    await t.quiet.scale(name, options.instances + 1)
    await record(t, `${title}: scaled up`, name)
    await t.quiet.restart(name)
    await record(t, `${title}: restarted`, name)
    await t.quiet.delete('all')
  }
  await t.quiet.start(...sleeperScript({ name: 'script', instances: 2, execMode: 'fork', incrementVar: 'PORT', env: { PORT: 5000 } }))
  await record(t, 'beside a script', 'script')
  await t.quiet.start(printer({ name: 'workers', instances: 2, increment_var: 'PORT', instance_var: 'WORKER', env: { PORT: 6000 } }))
  await record(t, 'cluster', 'workers')
  await t.quiet.scale('workers', 3)
  await record(t, 'cluster: scaled up', 'workers')
}

async function record(t, title, name) {
  const seen = {}
  for (const { pm_id: id } of (await t.all()).filter((proc) => proc.name === name)) {
    const { NODE_APP_INSTANCE, WORKER, PORT, COUNTER, INHERITED, WORD, instances } = await seenBy(t, id)
    const { pm2_env: app } = await t.proc(id)
    seen[id] = { seen: { NODE_APP_INSTANCE, WORKER, PORT, COUNTER, INHERITED, WORD, instances }, field: app[app.instance_var], inEnv: app.increment_var ? app.env[app.increment_var] : null }
  }
  t.record(title, seen)
}
