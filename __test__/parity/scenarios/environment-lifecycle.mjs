// The environment after a crash, after a restart by the daemon, and after the daemon was killed and the apps brought back.
import { inEnvironment } from '../lib/caller.mjs'
import { recordSteps, seenBy, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

const app = (more) => sleeper({ name: 'app', env: { OWN: '1', UTF: 'grüße\n2', OBJECT: { a: 1 }, PORT: 3000 }, env_production: { CHOSEN: 'yes' }, max_memory_restart: '90M', ...more })

export async function run(pm2, t) {
  await pm2.connect()
  const crash = async () => {
    const { pid, pm2_env: { restart_time: count } } = await t.proc('app')
    process.kill(pid, 'SIGKILL')
    await t.online('app', count + 1)
  }
  await recordSteps(t, 'crashed', [{ COLOUR: 'blue' }, ['start', app(), { env: 'production' }], { COLOUR: 'red' }, crash, ['describe', 'app'], crash, ['describe', 'app']])
  await recordSteps(t, 'crashed after updateEnv', [{ COLOUR: 'blue' }, ['start', app()], { COLOUR: 'red' }, ['restart', 'app', { updateEnv: true }], crash, ['describe', 'app']])
  await recordSteps(t, 'crashed after an object', [{ COLOUR: 'blue' }, ['start', app()], { COLOUR: 'red' }, ['restart', sleeper({ name: 'app', env: { OWN: '2', UTF: 'x' } })], crash, ['describe', 'app']])

  const caller = { COLOUR: 'blue' }
  await inEnvironment(caller, () => t.quiet.start(app({ instances: 2, exec_mode: 'fork' }), { env: 'production' }))
  await inEnvironment(caller, () => t.quiet.start(...sleeperScript({ name: 'script', env: { OWN: '1', OBJECT: { a: 1 } } })))
  await inEnvironment(caller, () => t.quiet.restart(sleeper({ name: 'app', env: { OWN: '2', UTF: 'x', PORT: 3000 } })))
  await record('before the daemon ended')
  await t.quiet.dump()
  const daemon = Number(t.read('pm2.pid'))
  await t.quiet.killDaemon()
  await t.dead(daemon)
  await t.refused('rpc.sock')
  process.env.COLOUR = 'red'
  await t.quiet.connect()
  await t.quiet.resurrect()
  await t.until('all are back', async () => (await t.all()).filter(({ pm2_env: env }) => env.status === 'online').length === 3)
  await record('resurrected')
  await t.quiet.restart('all')
  await record('resurrected and restarted')
  await t.quiet.restart(sleeper({ name: 'app', env: { OWN: '3' } }))
  await record('resurrected and restarted through an object')

  async function record(title) {
    const all = []
    for (const proc of await t.all()) all.push([`${proc.name} ${proc.pm2_env.NODE_APP_INSTANCE}`, await seenBy(t, proc.pm_id)])
    // Which of two gets which id after a resurrect is chance.
    for (const [name, { pm_id, pm_pid_path, pm_out_log_path, pm_err_log_path, ...seen }] of all.sort(([a], [b]) => a.localeCompare(b))) t.record(`${title}: ${name}`, seen)
  }
}
