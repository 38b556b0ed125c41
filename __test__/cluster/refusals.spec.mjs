// Listening that fails, in the words of Node's own primary, and what is possible afterwards.
import { readFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { makeHome } from '../helpers/home.mjs'
import { atLeast } from '../helpers/nodes.mjs'
import { waitFor } from '../helpers/wait.mjs'
import { each, policies, withDirect } from './app.mjs'
import { ask, askEach, freePort, host } from './clients.mjs'

/** A server of the test's own process. */
async function occupy(t, port) {
  const server = net.createServer()
  await new Promise((resolve, reject) => server.on('error', reject).listen(port, host, resolve))
  const free = () => new Promise((resolve) => server.close(resolve))
  t.teardown(() => server.listening && free())
  return free
}

const inUse = (port) => ({ code: 'EADDRINUSE', errno: -98, syscall: 'bind', address: host, port })

each('a port that is taken is refused, and listening succeeds once it is free', policies, async (t, { policy, start }) => {
  const port = await freePort()
  const free = await occupy(t, port)
  const app = await start('listen-until-free.js', { env: { PORT: port } })
  t.deepEqual([...new Set((await app.facts()).map(({ code }) => code))], ['EADDRINUSE'])
  await app.until(6, ({ code }) => code === 'EADDRINUSE')
  await free()
  await app.until(2, ({ listening }) => listening)
  await askEach(t, { policy, pids: await app.pids() }, () => ask(t, { host, port }))
})

each('errors have the fields that Node gives them', policies, async (t, { start }) => {
  const port = await freePort()
  await occupy(t, port)
  const home = await makeHome(t)
  const missing = path.join(home.folder, 'missing', 'socket')
  const file = path.join(home.folder, 'pm2.log')
  const tooLong = path.join(home.folder, 'x'.repeat(200))
  const listen = [[port, host], [port, '192.0.2.1'], [missing], [file], [{ fd: 9 }], [tooLong], [await freePort(), host]]
  const app = await start('listen.js', { home, listen, said: 2 * listen.length })
  const wanted = [
    inUse(port),
    { code: 'EADDRNOTAVAIL', errno: -99, syscall: 'bind', address: '192.0.2.1', port },
    { code: 'EACCES', errno: -13, syscall: 'bind', address: missing, port: -1 },
    { code: 'EADDRINUSE', errno: -98, syscall: 'bind', address: file, port: -1 },
    { code: 'EINVAL', errno: -22, syscall: 'bind', address: null },
    { code: 'ENAMETOOLONG', errno: -36, syscall: 'bind', address: tooLong, port: -1 },
    undefined
  ]
  for (const pid of await app.pids()) {
    const own = (await app.facts()).filter((fact) => fact.pid === pid)
    t.deepEqual(own.map(({ error }) => error), wanted)
  }
  t.not(await readFile(file, 'utf8'), '', 'a file that is no socket is left alone')
})

each('a second server of a worker on its port is refused, the first goes on', policies, async (t, { policy, start }) => {
  const [port, other] = [await freePort(), await freePort()]
  const listen = [[port, host], [port, host], [other], [other]]
  const app = await start('listen.js', { listen, said: 8 })
  for (const { server, error } of await app.facts()) {
    const refusal = server === 1 ? inUse(port) : { ...inUse(other), address: null }
    t.deepEqual(error, server % 2 ? refusal : undefined)
  }
  const pids = await app.pids()
  for (const [server, port] of [[0, listen[0][0]], [2, other]]) {
    const answers = await askEach(t, { policy, pids }, () => ask(t, { host, port }))
    t.deepEqual(answers.map((answer) => answer.server), [server, server])
  }
})

each('an exclusive server belongs to one worker', policies, async (t, { start }) => {
  const port = await freePort()
  const app = await start('listen.js', { listen: [[{ port, host, exclusive: true }]] })
  const facts = await app.facts()
  const [owner] = facts.filter(({ address }) => address)
  const [other] = facts.filter(({ error }) => error)
  t.deepEqual(owner.address, { address: host, family: 'IPv4', port })
  t.like(other.error, { code: 'EADDRINUSE', errno: -98, address: host, port })
  for (let n = 0; n < 4; n += 1) t.is((await ask(t, { host, port })).pid, owner.pid)
})

each('with reusePort each worker has a socket of its own', ['hybrid'], async (t, { node, start }) => {
  const port = await freePort()
  const app = await start('listen.js', { listen: [[{ port, host, reusePort: true }]] })
  const served = (await app.facts()).filter(({ error }) => !error).length
  // Before, the option meant nothing: the server was the primary's.
  t.is(served, 2)
  t.true((await app.pids()).includes((await ask(t, { host, port })).pid))
  if (atLeast(node, '23.1.0') || (node.major === 22 && atLeast(node, '22.12.0'))) {
    t.true((await app.facts()).every(({ accepts }) => accepts))
  }
})

each('workers close their servers and listen there again, ten times', withDirect, async (t, { policy, start }) => {
  for (const instances of [1, 2]) {
    const port = await freePort()
    const options = { name: `app-${instances}`, instances, said: 10 * instances }
    const app = await start('listen-again.js', { ...options, env: { PORT: port } })
    const facts = await app.facts()
    const pids = await app.pids()
    for (const pid of pids) {
      const own = facts.filter((fact) => fact.pid === pid)
      t.deepEqual(own.map(({ round }) => round), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    }
    const answers = await askEach(t, { policy, pids }, () => ask(t, { host, port }))
    t.true(answers.every(({ round }) => round === 10))
  }
})

each('the second app on a port is refused, and the log says who has it', policies, async (t, { policy, start }) => {
  const port = await freePort()
  const first = await start('max-connections.js', { name: 'landlord', env: { PORT: port, MAX: '[]' } })
  const second = await start('max-connections.js', {
    home: first.home,
    name: 'latecomer',
    env: { PORT: port, MAX: '[]' },
    autorestart: false,
    said: 0
  })
  await waitFor(async () => (await second.workers()).every(({ pm2_env: env }) => env.status === 'stopped'))
  t.deepEqual((await second.workers()).map(({ pm2_env: env }) => env.exit_code), [1, 1])
  const errors = (await second.log('error')).match(/code: 'EADDRINUSE'/g)
  t.is(errors?.length, 2, await second.log('error'))
  t.is(await first.log('error'), '')
  const lines = (await readFile(path.join(first.folder, 'pm2.log'), 'utf8')).split('\n')
  const told = lines.filter((line) => ['latecomer', 'landlord', `${host}:${port}`].every((word) => line.includes(word)))
  t.true(told.length > 0, lines.join('\n'))
  await askEach(t, { policy, pids: await first.pids() }, () => ask(t, { host, port }))

  // The port goes with the app that had it.
  await first.pm2.delete('landlord')
  await first.pm2.restart('latecomer')
  await second.until(2, ({ listening }) => listening)
  await askEach(t, { policy, pids: await second.pids() }, () => ask(t, { host, port }))
})
