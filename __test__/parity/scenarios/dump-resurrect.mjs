export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'running', script: 'alive.js', env: { FOO: 'bar' } })
  await t.quiet.start({ name: 'pair', script: 'instance.js', instances: 2, exec_mode: 'fork' })
  await t.quiet.start({ name: 'halted', script: 'other.js' })
  await t.settled()
  await t.quiet.stop('halted')
  await t.online('running')
  await t.snapshot('before')
  await pm2.dump()
  t.json('dump.pm2')
  const dumped = JSON.parse(t.read('dump.pm2'))
  await pm2.with({ as: 'dump again' }).dump()
  t.record('backup', t.exists('dump.pm2.bak'))
  await t.quiet.delete('all')
  const { error, answered } = await t.quiet.resurrect()
  t.record('resurrect', { answered, error: error === null ? null : String(error) })
  await t.until('all are back', async () => (await t.all()).length === 4)
  await t.online('running')
  // Which id a process gets depends on which of two parallel starts is first.
  const all = (await t.all()).map(({ name, pid, pm2_env: env }) => ({
    name, pid, status: env.status, instance: env.NODE_APP_INSTANCE, restarts: env.restart_time, out: env.pm_out_log_path.replace(/-\d+\.log$/, '-<id>.log'), foo: env.FOO, createdKept: dumped.some((entry) => entry.name === name && entry.created_at === env.created_at),
  }))
  t.record('after', all.sort((a, b) => `${a.name}${a.instance}`.localeCompare(`${b.name}${b.instance}`)))
}
