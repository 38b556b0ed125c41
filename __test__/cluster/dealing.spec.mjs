// Who gets which connection.
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { isAlive, makeHome } from '../helpers/home.mjs'
import { waitFor } from '../helpers/wait.mjs'
import { dealing, each, policies, withDirect } from './app.mjs'
import { ask, askEach, freePort, host, open, socketsAt } from './clients.mjs'

/** How often each value occurs, smallest first. */
function counts(values) {
  const found = new Map()
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1)
  return [...found.values()].sort((a, b) => a - b)
}

const listeners = (port) => socketsAt(port, '0A')

each('the policy of an app decides who accepts, and over how many sockets', policies, async (t, { policy, start }) => {
  const port = await freePort()
  const app = await start('listen.js', { instances: 3, listen: [[port, host]] })
  t.deepEqual((await app.facts()).map(({ accepts }) => accepts), Array(3).fill(policy !== 'rr'))
  // One of the daemon and one per instance.
  t.is((await listeners(port)).length, policy === 'hybrid' ? 4 : 1)
  await app.pm2.delete('app')
  t.is((await listeners(port)).length, 0)
})

const inherited = { rr: [false, 1], none: [true, 1], '': [true, 2] }

for (const [variable, wanted] of Object.entries(inherited)) {
  each(`apps without a policy, daemon with NODE_CLUSTER_SCHED_POLICY=${variable}`, ['hybrid'], async (t, { start }) => {
    const home = await makeHome(t)
    const daemon = { NODE_CLUSTER_SCHED_POLICY: variable }
    const of = async (name, scheduling_policy) => {
      const app = await start('listen.js', { home, daemon, name, instances: 1, scheduling_policy, listen: [[0, host]] })
      const [{ accepts, address }] = await app.facts()
      return [accepts, (await listeners(address.port)).length]
    }
    t.deepEqual(await of('own-rr', 'rr'), [false, 1])
    t.deepEqual(await of('own-shared', 'shared'), [true, 1])
    t.deepEqual(await of('own-hybrid', 'hybrid'), [true, 2])
    t.deepEqual(await of('without', undefined), wanted)
  })
}

each('keep-alive connections that come at once are dealt out evenly', dealing, async (t, { start }) => {
  const port = await freePort()
  await start('keep-alive.js', { instances: 4, env: { PORT: port } })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
  t.teardown(() => agent.destroy())
  const get = () => new Promise((resolve, reject) => {
    const request = http.get({ host, port, agent }, async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve({ ...JSON.parse(text), from: request.socket.localPort })
    }).on('error', reject)
  })
  const round = () => Promise.all(Array.from({ length: 16 }, get))
  const first = await round()
  t.deepEqual(counts(first.map(({ pid }) => pid)), [4, 4, 4, 4])
  // The connections stay where they are.
  const places = (answers) => answers.map(({ from, pid }) => `${from} ${pid}`).sort()
  t.deepEqual(places(await round()), places(first))
})

each('connections that come one after the other are dealt out evenly', dealing, async (t, { start }) => {
  const port = await freePort()
  await start('listen.js', { instances: 4, listen: [[port, host]] })
  const pids = []
  for (let n = 0; n < 16; n += 1) pids.push((await open(t, { host, port }).answer).pid)
  t.deepEqual(counts(pids), [4, 4, 4, 4])
})

each('connections to a socket file are dealt out evenly', dealing, async (t, { start }) => {
  const home = await makeHome(t)
  const path = `${home.folder}/socket`
  await start('listen.js', { home, instances: 4, listen: [[path]] })
  const answers = await Promise.all(Array.from({ length: 16 }, () => open(t, { path }).answer))
  t.deepEqual(counts(answers.map(({ pid }) => pid)), [4, 4, 4, 4])
})

each('a started instance takes part, a stopped one does not', dealing, async (t, { start }) => {
  const port = await freePort()
  const app = await start('listen.js', { listen: [[port, host]] })
  const served = async (count) => {
    const answers = await Promise.all(Array.from({ length: count }, () => open(t, { host, port }).answer))
    return counts(answers.map(({ pid }) => pid))
  }
  t.deepEqual(await served(8), [4, 4])
  await app.pm2.scale('app', 4)
  await app.until(4)
  t.deepEqual(await served(16), [4, 4, 4, 4])
  const [, { pm_id: second }] = await app.workers()
  await app.pm2.stop(second)
  t.deepEqual(await served(12), [4, 4, 4])
  await app.pm2.restart(second)
  await app.until(5)
  t.deepEqual(await served(16), [4, 4, 4, 4])
})

each('a full worker refuses, and another one serves', dealing, async (t, { start }) => {
  const port = await freePort()
  // Under `hybrid` a worker with a descriptor of its own would drop what it cannot take.
  const app = await start('max-connections.js', { env: { PORT: port, MAX: '[1, 4]' } })
  const connections = Array.from({ length: 5 }, () => open(t, { host, port }))
  const answers = await Promise.all(connections.map(({ answer }) => answer))
  const pids = await app.pids()
  const served = (pid) => answers.filter((answer) => answer.pid === pid).length
  t.deepEqual(pids.map(served), [1, 4])

  // All are full: the next client waits until one leaves.
  const waiting = open(t, { host, port })
  const outcome = waiting.answer.then(({ pid }) => pid, (error) => error.message)
  t.is(await Promise.race([outcome, delay(300, 'waits')]), 'waits')
  const leaving = answers.findIndex(({ pid }) => pid === pids[0])
  connections[leaving].socket.destroy()
  t.is(await outcome, pids[0])
})

each('with `sticky` a client address always reaches the same worker', dealing, async (t, { start }) => {
  for (const address of [host, undefined]) {
    const port = await freePort()
    const name = address === undefined ? 'everywhere' : 'loopback'
    const app = await start('listen.js', { name, instances: 4, sticky: true, listen: [[{ port, host: address }]] })
    const homes = new Map()
    for (let n = 1; n <= 32; n += 1) {
      const localAddress = `127.${n}.${(n * 7) % 250}.${n * 3}`
      const answers = await Promise.all(Array.from({ length: 4 }, () => ask(t, { host, port, localAddress })))
      t.is(new Set(answers.map(({ pid }) => pid)).size, 1, localAddress)
      homes.set(localAddress, answers[0].pid)
    }
    // Also later, and whatever others do meanwhile.
    for (const [localAddress, pid] of homes) t.is((await ask(t, { host, port, localAddress })).pid, pid)
    // Which worker an address belongs to may be chance, even one without any address.
    const pids = await app.pids()
    t.true([...homes.values()].every((pid) => pids.includes(pid)))
    t.true(new Set(homes.values()).size >= 3)
  }
})

each('nobody is sent to a worker that is gone, until its successor listens', withDirect, async (t, { policy, start }) => {
  const port = await freePort()
  const app = await start('end.js', { env: { PORT: port }, restart_delay: 500 })
  const [first] = await app.pids()
  await app.tell(0, 'end', 'exit')
  await app.until(1, ({ pid, code }) => pid === first && code === 7)
  // Its successor may be there by then.
  for (let n = 0; n < 20; n += 1) t.not((await ask(t, { host, port })).pid, first)
  await app.until(3, ({ listening }) => listening)
  const pids = await app.pids()
  t.false(pids.includes(first))
  await askEach(t, { policy, pids }, () => ask(t, { host, port }))
})

each('while the only worker comes back its clients wait', withDirect, async (t, { start }) => {
  const port = await freePort()
  const app = await start('end.js', { instances: 1, env: { PORT: port }, restart_delay: 300 })
  const [first] = await app.pids()
  await app.tell(0, 'end', 'exit')
  await waitFor(() => !isAlive(first))
  const answers = await Promise.all(Array.from({ length: 8 }, () => open(t, { host, port }).answer))
  const [second] = await app.pids()
  t.not(first, second)
  t.true(answers.every(({ pid }) => pid === second))
})
