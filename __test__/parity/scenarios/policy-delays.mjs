// restart_delay and exp_backoff_restart_delay: the sequence of delays and how they end.
import fs from 'node:fs'
import { follow, recordEnds, rest, shell } from '../lib/policy-cases.mjs'

const crash = (deaths, options) => ({ app: shell('', 'exit 2', options), deaths })

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  await recordEnds(t, said, {
    'restart_delay, then given up': crash(4, { restart_delay: 30, max_restarts: 4 }),
    'restart_delay as text': crash(3, { restart_delay: '30', max_restarts: 3 }),
    'back-off, then given up': crash(16, { exp_backoff_restart_delay: 2 }),
    'back-off from 1': crash(6, { exp_backoff_restart_delay: 1, max_restarts: 6 }),
    'back-off as text': crash(4, { exp_backoff_restart_delay: '10', max_restarts: 4 }),
    'back-off wins over restart_delay': crash(4, { exp_backoff_restart_delay: 10, restart_delay: 60_000, max_restarts: 4 }),
    'long restart_delay': crash(1, { restart_delay: 600_000 }),
    'long back-off': crash(1, { exp_backoff_restart_delay: 600_000 }),
    'back-off without restarts': crash(1, { exp_backoff_restart_delay: 50, autorestart: false }),
    'restart_delay without restarts': crash(1, { restart_delay: 50, autorestart: false }),
    'restart_delay and a stop code': crash(1, { restart_delay: 50, stop_exit_codes: [2] }),
  })

  const ends = () => said('grows').filter(({ event }) => event === 'exit')
  await t.quiet.start(shell('grows', 'test -e calm && exec sleep 300; exit 2', { exp_backoff_restart_delay: 100, max_restarts: 50, min_uptime: 500 }))
  await t.until('six delays', () => ends().length >= 6)
  fs.writeFileSync(t.cwd('calm'), '')
  t.record('growth', ends().map(({ restarts, unstable, delay }) => ({ restarts, unstable, delay })))
  t.record('calm again', rest(await t.online('grows')))
  await t.quiet.restart('grows')
  t.record('growth after a restart', rest(await t.online('grows')))
  fs.rmSync(t.cwd('calm'))
  await t.quiet.client.executeRemote('sendSignalToProcessId', { process_id: (await t.proc('grows')).pm_id, signal: 'SIGKILL' })
  await t.until('two more delays', () => ends().length >= 10)
  t.record('growth begins again', ends().map(({ restarts, unstable, delay }) => ({ restarts, unstable, delay })))
}
