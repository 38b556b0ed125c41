// stop, delete and restart while an app is launching: it has not yet said that it is ready.
import { outcome, rest, shell } from '../lib/policy-cases.mjs'

const waiting = (name, command) => shell(name, command, { wait_ready: true, listen_timeout: 20_000 })

export async function run(pm2, t) {
  await pm2.connect()
  for (const method of ['stop', 'delete', 'restart', 'reload', 'reset']) {
    const name = `${method} while launching`
    const ready = `echo '"ready"' >&3`
    const starting = t.quiet.start(waiting(name, `test -e '${name}' && ${ready}; : > '${name}'; exec sleep 300`))
    await t.until('it has begun', () => t.exists(t.cwd(name)))
    t.record(`${name}: status`, (await t.status(name, 'launching')).pm2_env.status)
    t.record(`${name}: outcome`, outcome(await t.quiet[method](name)))
    if (method === 'reset') await t.quiet.stop(name)
    t.record(`${name}: outcome of the start`, outcome(await starting))
    const proc = await t.proc(name)
    t.record(name, proc ? { status: rest(proc).status, running: rest(proc).running, restarts: rest(proc).restart_time } : 'not listed')
    await t.quiet.delete('all')
  }
}
