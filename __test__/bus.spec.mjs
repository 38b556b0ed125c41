import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import test from 'ava'
import { event } from './helpers/frames.mjs'
import { waitFor } from './helpers/wait.mjs'

const { Bus } = createRequire(import.meta.url)('../lib/bus.js')

test.beforeEach(async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'pm2-rs-bus-'))
  const sockets = new Set()
  const address = path.join(folder, 'pub.sock')
  const listen = async () => {
    const server = net.createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket)).on('error', () => {})
      server.emit('subscriber', socket)
    })
    await once(server.listen(address), 'listening')
    return server
  }
  t.context = { folder, sockets, address, listen, server: await listen() }
})

test.afterEach.always(async (t) => {
  t.context.bus?.close()
  for (const socket of t.context.sockets) socket.destroy()
  t.context.server.close()
  await rm(t.context.folder, { recursive: true })
})

async function open(t) {
  const bus = new Bus(t.context.address)
  t.context.bus = bus
  const [[socket]] = await Promise.all([once(t.context.server, 'subscriber'), bus.opened()])
  return { bus, send: (...messages) => socket.write(Buffer.concat(messages)) }
}

test('listeners get the events of their topic, patterns with what they stood for', async (t) => {
  const { bus, send } = await open(t)
  const seen = []
  bus.on('log:out', (packet) => seen.push(['exact', packet]))
  bus.on('log:*', (stream, packet) => seen.push(['log', stream, packet]))
  bus.on('*', (topic, packet) => seen.push(['any', topic, packet]))
  bus.on('*:*', (left, right) => seen.push(['two', left, right]))
  const end = new Promise((resolve) => bus.on('end', resolve))
  send(event('log:out', { data: 'x' }), event('log.out', 2), event('end', null))
  await end
  t.deepEqual(seen, [
    ['exact', { data: 'x' }],
    ['log', 'out', { data: 'x' }],
    ['any', 'log:out', { data: 'x' }],
    ['two', 'log', 'out'],
    ['any', 'log.out', 2],
    ['any', 'end', null]
  ])
})

test('off drops what was registered with that text', async (t) => {
  const { bus, send } = await open(t)
  const seen = []
  const second = () => seen.push('second')
  bus.on('a', () => seen.push('first'))
  bus.on('a', second)
  bus.on('*', (topic) => seen.push(topic))
  bus.off('a', second)
  const end = new Promise((resolve) => bus.on('end', resolve))
  send(event('a', 1))
  await waitFor(() => seen.length === 2)
  bus.off('a')
  send(event('a', 1), event('end', 1))
  await end
  t.deepEqual(seen, ['first', 'a', 'a', 'end'])
})

test('a bus comes back when the daemon does', async (t) => {
  const { bus } = await open(t)
  const closed = once(bus.sock, 'close')
  t.context.server.close()
  for (const socket of t.context.sockets) socket.destroy()
  await closed
  t.false(bus.sock.connected)
  const attempt = once(bus.sock, 'reconnect attempt')
  t.context.server = await t.context.listen()
  const [[socket]] = await Promise.all([once(t.context.server, 'subscriber'), once(bus.sock, 'connect'), attempt])
  const packet = new Promise((resolve) => bus.on('a', resolve))
  socket.write(event('a', 7))
  t.is(await packet, 7)
})

test('a message longer than the limit ends the connection, not the memory', async (t) => {
  const { bus, send } = await open(t)
  const closed = new Promise((resolve) => bus.sock.on('close', resolve))
  send(Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff]))
  await closed
  t.pass()
})

test('closing before the connection is there settles', async (t) => {
  const bus = new Bus(path.join(t.context.folder, 'nobody.sock'))
  const opened = bus.opened()
  setTimeout(() => bus.close(), 50)
  await t.throwsAsync(opened, { message: /closed before/ })
})

test('a bus can be iterated, all of it or one topic', async (t) => {
  const { bus, send } = await open(t)
  const logs = bus.events('log:*')
  send(event('a', 1), event('log:out', 2), event('log:err', 3))
  const all = []
  // What came before somebody asks is not part of it.
  setTimeout(() => send(event('b', 4), event('end', 5)), 50)
  for await (const [topic, packet] of bus) {
    all.push([topic, packet])
    if (topic === 'end') break
  }
  t.true(['[["a",1],["log:out",2],["log:err",3],["b",4],["end",5]]', '[["b",4],["end",5]]'].includes(JSON.stringify(all)))
  t.deepEqual([await logs.next(), await logs.next()], [
    { value: ['out', 2], done: false },
    { value: ['err', 3], done: false }
  ])
  const [waiting, further] = [logs.next(), logs.next()]
  bus.close()
  t.deepEqual(await Promise.all([waiting, further]), Array(2).fill({ value: undefined, done: true }))
  t.deepEqual(bus.listeners, [])
})

test('whoever stops iterating gets an end, also of what waits', async (t) => {
  const { bus, send } = await open(t)
  const done = { value: undefined, done: true }
  const events = bus.events()
  const waiting = events.next()
  t.deepEqual(await events.return('x'), { value: 'x', done: true })
  t.deepEqual([await waiting, await events.next()], [done, done])
  const others = bus.events()
  const other = others.next()
  await t.throwsAsync(others.throw(new Error('enough')), { message: 'enough' })
  t.deepEqual([await other, await others.next(), bus.listeners], [done, done, []])
  const first = once(bus.sock, 'close')
  let count = 0
  bus.on('n', () => {
    count += 1
    if (count === 2) bus.close()
  })
  send(...Array.from({ length: 10 }, (_, n) => event('n', n)))
  await first
  t.is(count, 2)
})

test('what nobody takes is left with the daemon, and nothing is lost or out of order', async (t) => {
  const { bus, send } = await open(t)
  const [socket] = t.context.sockets
  const events = bus.events('n')
  const text = 'x'.repeat(100)
  const count = 200_000
  for (let n = 0; n < count; n += 1000) send(...Array.from({ length: 1000 }, (_, i) => event('n', { n: n + i, text })))
  // The first ones are there, the others wait at the other end.
  await events.next()
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.true(socket.writableLength > 10_000_000, `${socket.writableLength} bytes wait`)
  let expected = 1
  for await (const [{ n }] of events) {
    if (n !== expected) t.fail(`${n} instead of ${expected}`)
    expected += 1
    if (expected === count) break
  }
  t.is(expected, count)
})
