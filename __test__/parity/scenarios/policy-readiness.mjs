// wait_ready: what the caller is told, and what the table shows meanwhile. The apps write to descriptor 3 themselves.
import { follow, outcome, rest, rested, shell } from '../lib/policy-cases.mjs'

const ready = `echo '"ready"' >&3`
const waiting = (name, command, options) => shell(name, command, { wait_ready: true, listen_timeout: 20_000, ...options })

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  const settle = async (name, starting) => {
    t.record(`${name}: outcome`, outcome(await starting))
    await rested(t, said, name)
    t.record(name, rest(await t.proc(name)))
    // What clients say of their own calls comes when they have the answer.
    t.record(`events of ${name}`, said(name).filter(({ by }) => by === 'itself'))
  }

  await settle('ready at once', t.quiet.start(waiting('ready at once', `${ready}; exec sleep 300`)))
  await settle('ready later', t.quiet.start(waiting('ready later', `sleep 0.4; ${ready}; exec sleep 300`)))
  await settle('never ready', t.quiet.start(waiting('never ready', 'exec sleep 300', { listen_timeout: 300 })))
  await settle('ready after the wait', t.quiet.start(waiting('ready after the wait', `sleep 0.7; ${ready}; exec sleep 300`, { listen_timeout: 300 })))
  await settle('ready twice', t.quiet.start(waiting('ready twice', `${ready}; ${ready}; exec sleep 300`)))
  await settle('ready unasked', t.quiet.start(shell('ready unasked', `${ready}; exec sleep 300`)))
  await settle('not the word', t.quiet.start(waiting('not the word', `echo '"steady"' >&3; echo '{"ready":true}' >&3; exec sleep 300`, { listen_timeout: 300 })))
  await settle('dies before', t.quiet.start(waiting('dies before', 'exit 5', { autorestart: false })))
  await settle('crashes before', t.quiet.start(waiting('crashes before', 'exit 5', { max_restarts: 3 })))
  await settle('ready, then dies', t.quiet.start(waiting('ready, then dies', `${ready}; exit 6`, { max_restarts: 3 })))
  await settle('Node app', t.quiet.start({ name: 'Node app', script: 'ready.js', args: '200', wait_ready: true }))
  await t.quiet.delete('all')
}
