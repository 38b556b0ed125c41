// Two clients about one app at once: both get an answer, and the table is true afterwards.
import { outcome, shell, sleeper } from '../lib/policy-cases.mjs'

const client = (t) => {
  const api = new t.raw.custom({ pm2_home: t.home() })
  return (method, ...args) => new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ timeout: true }), 8_000)
    api[method](...args, (error, result) => {
      clearTimeout(timer)
      resolve({ error, result })
    })
  })
}

// `says`: which answers and which state do not depend on who is first.
const pairs = [
  { calls: ['stop', 'stop'], says: true },
  { calls: ['delete', 'delete'], says: true },
  { calls: ['delete', 'stop'], says: true },
  { calls: ['reset', 'restart'], says: true },
  { calls: ['stop', 'reset'], says: true },
  { calls: ['restart', 'restart'] },
  { calls: ['reload', 'restart'] },
  { calls: ['stop', 'restart'] },
  { calls: ['restart', 'stop'] },
  { calls: ['delete', 'restart'] },
  { calls: ['restart', 'delete'] },
]

export async function run(pm2, t) {
  await pm2.connect()
  const [one, two] = [client(t), client(t)]
  for (const call of [one, two]) await call('connect')
  await t.quiet.start(sleeper('keeps the ids')) // an empty table begins its ids again
  // Every process writes its id first of all, a moment after its start.
  const written = () => (t.read(t.cwd('pids')) ?? '').split('\n').filter(Boolean).map(Number)
  const living = () => written().filter(t.alive).length

  for (const { calls: [first, second], says } of pairs) {
    const name = `${first} and ${second}`
    // Where the answers of a delete count, the end takes so long that the second call comes before it.
    const endsLate = says && first === 'delete'
    const script = endsLate
      ? "trap 'sleep 0.6; exit 0' INT; echo $$ >> pids; while true; do sleep 0.2; done"
      : 'echo $$ >> pids; exec sleep 300'
    await t.quiet.start(shell('app', script))
    await t.online('app')
    await t.until('it runs', () => living() === 1)
    const outcomes = (await Promise.all([one(first, 'app'), two(second, 'app')])).map(outcome)
    t.record(`${name}: answered`, outcomes.map((text) => text !== 'no answer'))
    const proc = await t.proc('app')
    const online = proc?.pm2_env.status === 'online'
    if (online && t.alive(proc.pid)) await t.until('its id is written', () => written().includes(proc.pid) || !t.alive(proc.pid))
    t.record(`${name}: the table is true`, online === Boolean(proc?.pid && t.alive(proc.pid)) && living() === (online ? 1 : 0))
    if (says) t.record(name, { outcomes, status: proc?.pm2_env.status ?? 'not listed' })
    else if (first === second || first === 'reload') t.record(name, proc?.pm2_env.status)
    await t.quiet.delete('app')
    // What npm pm2 has lost is ended here, so that it does not count for the next pair.
    t.record(`${name}: nothing is left`, living() === 0)
    for (const pid of written().filter(t.alive)) process.kill(pid, 'SIGKILL')
    await t.until('all have ended', () => living() === 0)
  }

  await t.quiet.start(sleeper('app'))
  await t.quiet.stop('app')
  t.record('two restarts of a stopped app', (await Promise.all([one('restart', 'app'), two('restart', 'app')])).map(outcome).map((text) => text !== 'no answer'))
  t.record('its status', (await t.proc('app')).pm2_env.status)
  await t.quiet.delete('app')
  t.record('two starts of one name: outcomes', (await Promise.all([one('start', sleeper('app')), two('start', sleeper('app'))])).map(outcome))
  // One app or two: whether the second finds the first is a matter of time.
  t.record('two starts of one name', (await t.all()).every(({ pid, pm2_env: env }) => env.status === 'online' && t.alive(pid)))
  for (const call of [one, two]) await call('disconnect')
}
