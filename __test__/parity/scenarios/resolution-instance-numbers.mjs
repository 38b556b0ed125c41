// The numbers of instances, in the processes themselves, while instances come and go.
const apps = {
  plain: { script: 'resolution-instance.js' },
  'own variable': { script: 'resolution-instance.js', instance_var: 'WORKER' },
  counted: { script: 'resolution-instance.js', increment_var: 'PORT', env: { PORT: 3000 } },
  'counted from nothing': { script: 'resolution-instance.js', increment_var: 'NUMBER' },
  'counted from text': { script: 'resolution-instance.js', increment_var: 'NUMBER', env: { NUMBER: '10' } },
  'counted from words': { script: 'resolution-instance.js', increment_var: 'NUMBER', env: { NUMBER: 'ten' } },
  'with a port': { script: 'resolution-instance.js', increment_var: 'PORT', port: 4000 },
  'both variables': { script: 'resolution-instance.js', instance_var: 'WORKER', increment_var: 'WORKER', env: { WORKER: 5 } },
  'in a cluster': { script: 'resolution-instance.js', exec_mode: 'cluster' },
  'set by hand': { script: 'resolution-instance.js', env: { NODE_APP_INSTANCE: '7' } }
}
const followed = new Set(['plain', 'own variable', 'counted', 'in a cluster'])
const variables = ['NODE_APP_INSTANCE', 'WORKER', 'PORT', 'NUMBER', 'instance_var', 'increment_var']

export const limit = 120_000

export async function run(pm2, t) {
  await pm2.connect()
  const told = (pid) => t.cwd(`seen-${pid}.json`)
  for (const [title, app] of Object.entries(apps)) {
    const state = async (when) => {
      const all = (await t.all()).sort((a, b) => a.pm_id - b.pm_id)
      const pick = (from) => Object.fromEntries(variables.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]))
      for (const { pid } of all) if (pid > 0) await t.until(`${pid} has told`, () => t.exists(told(pid)))
      t.record(`${title}: ${when}`, all.map(({ pid, pm2_env: env }) => ({ status: env.status, restarts: env.restart_time, listed: pick(env), seen: pid > 0 ? pick(JSON.parse(t.read(told(pid)))) : null, variables: pick(env.env), log: env.pm_out_log_path })))
    }
    const first = async () => Math.min(...(await t.all()).map(({ pm_id: id }) => id))
    const started = await t.quiet.start({ name: 'app', exec_mode: 'fork', instances: 3, ...app })
    if (started.error) {
      t.record(`${title}: start`, String(started.error))
      continue
    }
    await state('three')
    // One in the middle goes: its number is free again.
    await t.quiet.delete((await first()) + 1)
    await state('one deleted')
    await t.quiet.scale('app', 4)
    await state('scaled up')
    if (!followed.has(title)) {
      await t.quiet.delete('all')
      continue
    }
    await t.quiet.restart('app')
    await state('restarted')
    await t.quiet.scale('app', 2)
    await state('scaled down')
    await t.quiet.delete(await first())
    await t.quiet.scale('app', '+2')
    await state('scaled up again')
    await t.quiet.stop(await first())
    await t.quiet.scale('app', '+1')
    await state('one stopped, one more')
    await t.quiet.restart('app')
    await state('all restarted')
    await t.quiet.delete('all')
  }
}
