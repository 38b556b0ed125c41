// What comes back of processes in every state.
const fields = ['status', 'restart_time', 'unstable_restarts', 'created_at', 'exit_code', 'version', 'autostart', 'namespace', 'args', 'max_restarts', 'watch', 'cron_restart', 'prev_restart_delay', 'instances', 'NODE_APP_INSTANCE', 'merge_logs', 'node_version']

export async function run(pm2, t) {
  await pm2.connect()
  // So long that a stop is always one too early, on a slow machine too.
  const min_uptime = 100_000
  const apps = [
    { name: 'restarted', script: 'alive.js', namespace: 'mine', args: ['a', 'b c'], min_uptime },
    { name: 'halted', script: 'alive.js', watch: false, min_uptime },
    { name: 'halted-pair', script: 'instance.js', instances: 2, exec_mode: 'fork', min_uptime },
    { name: 'never', script: 'alive.js', autostart: false },
    { name: 'errored', script: 'exit.js', args: '3', max_restarts: 2, min_uptime },
    { name: 'once', script: 'exit.js', args: '0', autorestart: false, min_uptime },
    { name: 'waiting', script: 'exit.js', args: '3', restart_delay: 100_000, min_uptime },
    { name: 'backing-off', script: 'exit.js', args: '3', exp_backoff_restart_delay: 100_000, min_uptime },
    { name: 'cron', script: 'alive.js', cron_restart: '0 0 1 1 *', min_uptime }
  ]
  // One after the other, so that ids are the same on both sides.
  for (const app of apps) await t.quiet.start(app)
  await t.settled()
  for (const name of ['restarted', 'restarted', 'halted']) await t.quiet.restart(name)
  await t.settled()
  for (const name of ['halted', 'halted-pair', 'cron']) await t.quiet.stop(name)
  await t.status('errored', 'errored')
  await t.status('once', 'stopped')
  await t.status('waiting', 'waiting restart')
  await t.status('backing-off', 'waiting restart')
  await pm2.dump()
  t.json('dump.pm2')
  await t.quiet.delete('all')
  await t.quiet.resurrect()
  await t.until('all are back', async () => (await t.all()).length === 10)
  await t.status('errored', 'errored')
  await t.status('waiting', 'waiting restart')
  await t.status('backing-off', 'waiting restart')
  await t.settled()
  const state = async (name) => {
    const all = (await t.all()).map(({ name: app, pid, pm2_env: env }) => ({ name: app, running: t.alive(pid), ...Object.fromEntries(fields.map((field) => [field, env[field]])) }))
    t.record(name, all.sort((a, b) => `${a.name}${a.NODE_APP_INSTANCE}`.localeCompare(`${b.name}${b.NODE_APP_INSTANCE}`)))
  }
  await state('after')
  // What came back stopped can be started, and what was restored can be saved again.
  await t.quiet.restart('halted-pair')
  await t.quiet.restart('cron')
  await t.settled()
  await state('after restart')
  await pm2.with({ as: 'dump again' }).dump()
}
