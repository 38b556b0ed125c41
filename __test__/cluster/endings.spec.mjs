// Workers that end by themselves, in every way Node has for it.
import { waitFor } from '../helpers/wait.mjs'
import { each, withDirect } from './app.mjs'
import { ask, askEach, freePort, host } from './clients.mjs'

/** By the word for it: what the worker sees, and the exit code that is listed. */
const ways = {
  exit: { code: 7, voluntary: false, disconnected: false },
  throw: { code: 1, voluntary: false, disconnected: false },
  kill: { code: 0, voluntary: true, disconnected: true },
  disconnect: { code: 0, voluntary: true, disconnected: true },
  // Node ends the process before the app hears of it.
  channel: { code: 0, voluntary: false, disconnected: false }
}

for (const [way, { code, voluntary, disconnected }] of Object.entries(ways)) {
  each(`a worker that ends by ${way}`, withDirect, async (t, { policy, start }) => {
    const port = await freePort()
    const app = await start('end.js', { env: { PORT: port }, autorestart: false })
    const [ending, other] = await app.pids()
    await app.tell(0, 'end', way)
    const status = async () => (await app.workers())[0].pm2_env
    await waitFor(async () => (await status()).status === 'stopped')
    t.is((await status()).exit_code, code)
    const facts = (await app.facts()).filter(({ pid, listening }) => pid === ending && !listening)
    const wanted = [{ pid: ending, code, voluntary }]
    t.deepEqual(facts, disconnected ? [{ pid: ending, disconnected: true }, ...wanted] : wanted)

    // Nobody is sent to it any more, and it comes back at the same place.
    for (let n = 0; n < 8; n += 1) t.is((await ask(t, { host, port })).pid, other)
    await app.pm2.restart((await app.workers())[0].pm_id)
    await app.until(3, ({ listening }) => listening)
    const pids = await app.pids()
    t.is(pids[1], other)
    await askEach(t, { policy, pids }, () => ask(t, { host, port }))
  })
}
