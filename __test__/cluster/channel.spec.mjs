// The channel between the daemon and its workers: environment, messages, handles.
import { fixture } from '../helpers/home.mjs'
import { waitFor } from '../helpers/wait.mjs'
import { each, policies } from './app.mjs'
import { freePort, host, open } from './clients.mjs'

each('a worker looks like one of Node\'s own, and its environment is clean', policies, async (t, { start }) => {
  const app = await start('environment.js', { env: { MINE: 'yes' }, args: ['--one', 'two'] })
  const facts = await app.facts()
  for (const { pid, env, id, child, argv, ...fact } of facts) {
    t.true(env.includes('MINE'))
    for (const names of [env, child.env]) {
      t.deepEqual(names.filter((name) => /^(NODE_CHANNEL_|NODE_UNIQUE_ID|PM2_RS_CHANNEL)/.test(name)), [])
    }
    t.deepEqual([child.send, child.isWorker], ['undefined', false])
    t.deepEqual(argv, [fixture('cluster/environment.js'), '--one', 'two'])
    t.true(Number.isInteger(id) && id > 0)
    t.deepEqual(fact, {
      main: true,
      execArgv: [],
      send: 'function',
      connected: true,
      isWorker: true,
      isPrimary: false,
      isMaster: false,
      sameProcess: true,
      isConnected: true,
      isDead: false,
      fork: 'undefined',
      workers: 'undefined'
    })
  }

  // Numbers of workers are never used again.
  await app.pm2.reload('app')
  await app.pm2.restart('app')
  const later = await app.until(6)
  t.is(new Set(later.map(({ id }) => id)).size, 6)
})

/** An app whose workers send every message back. */
async function startEcho(start) {
  const app = await start('echo-message.js')
  const bus = await app.pm2.launchBus()
  const echoes = []
  bus.on('echo', ({ data, process }) => echoes.push({ ...data, by: process.pm_id }))
  return { app, echoes }
}

each('300 kB go to every worker and come back', ['hybrid'], async (t, { start }) => {
  const { app, echoes } = await startEcho(start)
  const data = Array.from({ length: 30_000 }, (_, n) => String(n).padStart(9, '.')).join('/')
  for (const instance of [0, 1]) await app.tell(instance, 'large', data)
  await waitFor(() => echoes.length === 2)
  t.deepEqual(echoes.map(({ pid }) => pid).sort(), (await app.pids()).sort())
  for (const echo of echoes) t.true(echo.length === data.length && echo.data === data)
})

each('strange characters cost neither their message nor its neighbours', ['hybrid'], async (t, { start }) => {
  const { app, echoes } = await startEcho(start)
  const texts = ['before', '\u2028\u2029', '\ud83d\ude00', '\0\x1b"\\/\n\r\t', '\ufeff', '\ud800', 'x\udc00y', 'after']
  for (const text of texts) await app.tell(0, 'strange', text)
  await waitFor(() => echoes.length === texts.length)
  // Half a surrogate pair is no text outside JavaScript.
  const wanted = texts.map((text) => text.toWellFormed())
  t.deepEqual(echoes.map(({ data }) => data), wanted)
  for (const [n, { units }] of echoes.entries()) {
    t.deepEqual(units, Array.from({ length: wanted[n].length }, (_, at) => wanted[n].charCodeAt(at)))
  }
})

each('handles sent to the daemon are closed there, and the channel goes on', policies, async (t, { start }) => {
  const [port, other] = [await freePort(), await freePort()]
  // What the daemon was sent the client's end of.
  const target = await start('listen.js', { name: 'target', instances: 1, listen: [[other, host]] })
  const app = await start('send-handles.js', { home: target.home, env: { PORT: port } })
  const bus = await app.pm2.launchBus()
  const [said, came] = [[], []]
  bus.on('said', ({ data }) => said.push([data.pid, data.what]))
  bus.on('handle', ({ data }) => came.push(data.what))

  const pids = await app.pids()
  for (const [instance, pid] of pids.entries()) {
    await app.tell(instance, 'send', other)
    await app.until(3, (fact) => fact.pid === pid && fact.sent)
    await app.tell(instance, 'say', 'still here')
    await waitFor(() => said.some(([from, what]) => from === pid && what === 'still here'))
  }

  // A worker gives a client's connection away: the client sees its end.
  const { socket } = open(t, { host, port })
  await new Promise((resolve, reject) => socket.on('error', reject).on('close', resolve).resume())
  await app.until(7, ({ sent }) => sent)
  for (const pid of pids) {
    const sent = (await app.facts()).filter((fact) => fact.pid === pid && fact.sent)
    t.deepEqual(sent.slice(0, 3).map((fact) => fact.sent).sort(), ['client', 'server', 'udp'])
    t.true(sent.every(({ error }) => error === null))
  }
  // As under PM2, what was said with a handle goes to the bus.
  await waitFor(() => came.length === 7)
  t.deepEqual(came.sort(), ['accepted', 'client', 'client', 'server', 'server', 'udp', 'udp'])
})
