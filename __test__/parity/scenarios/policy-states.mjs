// start, stop, restart, reload, reset and delete in every state that lasts.
import fs from 'node:fs'
import { follow, outcome, rest, rested, shell, sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  const states = {
    online: async (name) => {
      await t.quiet.start(sleeper(name))
      await t.online(name)
    },
    stopped: async (name) => {
      await t.quiet.start(sleeper(name))
      await t.quiet.stop(name)
    },
    errored: async (name) => {
      await t.quiet.start(shell(name, `test -e '${name}' && exec sleep 300; exit 9`, { max_restarts: 2 }))
      await t.status(name, 'errored')
      fs.writeFileSync(t.cwd(name), '') // from now on it lives
    },
    ended: async (name) => {
      await t.quiet.start(shell(name, `test -e '${name}' && exec sleep 300; exit 9`, { autorestart: false }))
      await t.status(name, 'stopped')
      fs.writeFileSync(t.cwd(name), '')
    },
  }
  const calls = {
    'start by name': (name) => t.quiet.start(name),
    'startProcessId': (_, id) => t.quiet.client.executeRemote('startProcessId', id),
    stop: (name) => t.quiet.stop(name),
    restart: (name) => t.quiet.restart(name),
    'restart twice': async (name) => { await t.quiet.restart(name); return t.quiet.restart(name) },
    reload: (name) => t.quiet.reload(name),
    reset: (name) => t.quiet.reset(name),
    delete: (name) => t.quiet.delete(name),
  }
  for (const [state, reach] of Object.entries(states)) {
    for (const [call, make] of Object.entries(calls)) {
      const name = `${call} of ${state}`
      await reach(name)
      await rested(t, said, name, 30)
      const { pm_id } = await t.proc(name)
      t.record(`${name}: outcome`, outcome(await make(name, pm_id)))
      await rested(t, said, name, 80)
      t.record(name, rest(await t.proc(name)))
      t.record(`events of ${name}`, said(name))
      await t.quiet.delete('all')
    }
  }
}
