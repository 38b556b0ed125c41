// What workers may listen on, what they learn of it, and that clients reach every one of them there.
import dgram from 'node:dgram'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import tls from 'node:tls'
import { makeHome } from '../helpers/home.mjs'
import { waitFor } from '../helpers/wait.mjs'
import { each, policies, withDirect } from './app.mjs'
import { ask, askEach, freePort, host } from './clients.mjs'

each('a server without an address serves IPv4 and IPv6 clients', withDirect, async (t, { policy, start }) => {
  const port = await freePort()
  const app = await start('listen.js', { listen: [[port]] })
  const facts = await app.facts()
  t.deepEqual(facts.map(({ address }) => address), Array(2).fill({ address: '::', family: 'IPv6', port }))
  const pids = await app.pids()
  t.deepEqual(facts.map(({ pid }) => pid).sort(), pids.toSorted())
  await askEach(t, { policy, pids }, () => ask(t, { host, port }))
  await askEach(t, { policy, pids }, () => ask(t, { host: '::1', port }))
})

each('a server of IPv6 only refuses IPv4 clients', withDirect, async (t, { policy, start }) => {
  const port = await freePort()
  const app = await start('listen.js', { listen: [[{ port, host: '::', ipv6Only: true }]] })
  const [{ address }] = await app.facts()
  t.deepEqual(address, { address: '::', family: 'IPv6', port })
  await askEach(t, { policy, pids: await app.pids() }, () => ask(t, { host: '::1', port }))
  await t.throwsAsync(ask(t, { host, port }), { code: 'ECONNREFUSED' })
})

each('a server at an address, a host name and a backlog', policies, async (t, { policy, start }) => {
  const ports = [await freePort(), await freePort()]
  const listen = [[ports[0], host], [{ port: ports[1], host: 'localhost', backlog: 7 }]]
  const app = await start('listen.js', { listen, said: 4 })
  const named = (await app.until(2, ({ server }) => server === 1))[0].address
  // Which of its addresses `localhost` stands for depends on the machine.
  t.like(named, { port: ports[1] })
  for (const { server, address } of await app.facts()) {
    t.deepEqual(address, server === 0 ? { address: host, family: 'IPv4', port: ports[0] } : named)
  }
  const pids = await app.pids()
  await askEach(t, { policy, pids }, () => ask(t, { host, port: ports[0] }))
  await askEach(t, { policy, pids }, () => ask(t, { host: named.address, port: ports[1] }))
})

each('the first listen(0) of all workers has one port, the second another', policies, async (t, { policy, start }) => {
  const app = await start('listen.js', { listen: [[0, host], [0, host]], said: 4 })
  const facts = await app.facts()
  const ports = [0, 1].map((number) => facts.find(({ server }) => server === number).address.port)
  t.not(ports[0], ports[1])
  for (const { server, address } of facts) t.deepEqual(address, { address: host, family: 'IPv4', port: ports[server] })
  const pids = await app.pids()
  for (const [number, port] of ports.entries()) {
    t.true(port > 0)
    const answers = await askEach(t, { policy, pids }, () => ask(t, { host, port }))
    t.deepEqual(answers.map(({ server }) => server), [number, number])
  }
})

each('a socket file serves, has the wanted mode, and is gone with its app', policies, async (t, { policy, start }) => {
  const home = await makeHome(t)
  const [closed, open] = ['closed', 'open'].map((name) => path.join(home.folder, name))
  const listen = [[closed], [{ path: open, readableAll: true, writableAll: true }]]
  const app = await start('listen.js', { home, listen, said: 4 })
  for (const { server, address } of await app.facts()) t.is(address, [closed, open][server])
  // `a+rw` adds to what the creation mask of the daemon has left.
  const mode = async (file) => (await stat(file)).mode & 0o777
  t.is(await mode(open), (await mode(closed)) | 0o666)
  t.not(await mode(closed), await mode(open))

  const pids = await app.pids()
  await askEach(t, { policy, pids }, () => ask(t, { path: closed }))
  await askEach(t, { policy, pids }, () => ask(t, { path: open }))
  await app.pm2.delete('app')
  for (const file of [closed, open]) {
    await t.throwsAsync(stat(file), { code: 'ENOENT' })
    await t.throwsAsync(ask(t, { path: file }), { code: 'ENOENT' })
  }
})

each('a relative socket file is one of the app\'s folder, and replaces a dead one', policies, async (t, { policy, start }) => {
  const home = await makeHome(t)
  const file = path.join(home.folder, 'socket')
  // Killed, it leaves the file.
  const { stdout } = await home.script(`require('net').createServer().listen(${JSON.stringify(file)}, () => {
    console.log('listens')
    process.kill(process.pid, 'SIGKILL')
  })`)
  t.is(stdout, 'listens\n')
  t.true((await stat(file)).isSocket())
  const app = await start('listen.js', { home, listen: [['socket']], cwd: home.folder })
  t.deepEqual((await app.facts()).map(({ error }) => error), [undefined, undefined])
  await askEach(t, { policy, pids: await app.pids() }, () => ask(t, { path: file }))
})

each('every UDP datagram is answered, each by one worker', policies, async (t, { start }) => {
  const port = await freePort()
  const app = await start('udp-echo.js', { env: { PORT: port } })
  for (const { address } of await app.facts()) t.deepEqual(address, { address: host, family: 'IPv4', port })
  const socket = dgram.createSocket('udp4')
  t.teardown(() => socket.close())
  const answers = []
  socket.on('message', (text) => answers.push(JSON.parse(text)))
  const texts = Array.from({ length: 50 }, (_, n) => `datagram ${n}`)
  for (const text of texts) socket.send(text, port, host)
  await waitFor(() => answers.length >= texts.length)
  t.deepEqual(answers.map(({ text }) => text).sort(), texts.sort())
  const pids = await app.pids()
  t.true(answers.every(({ pid }) => pids.includes(pid)))
})

each('a TLS session is resumed in every worker, also after a reload', policies, async (t, { policy, start }) => {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const port = await freePort()
    const name = version.replaceAll(/\W/g, '')
    const app = await start('tls.js', { name, env: { PORT: port } })
    const connect = (session) => overTls({ host, port, session, maxVersion: version, rejectUnauthorized: false })
    const first = await connect()
    t.is(first.said.resumed, false)
    const resume = async () => {
      const answers = await askEach(t, { policy, pids: await app.pids() }, async () => (await connect(first.session)).said)
      t.deepEqual(answers.map(({ resumed }) => resumed), [true, true], version)
    }
    await resume()
    await app.pm2.reload(name)
    await resume()
  }
})

/** @returns what the server said, and the session to resume */
function overTls(options) {
  return new Promise((resolve, reject) => {
    let [text, session] = ['', null]
    const socket = tls.connect(options).setEncoding('utf8')
    socket.on('error', reject)
    socket.on('session', (found) => {
      session = found
    })
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('close', () => (text === '' ? reject(new Error('closed')) : resolve({ said: JSON.parse(text), session })))
  })
}
