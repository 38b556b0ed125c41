import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import test from 'ava'
import { event } from './helpers/frames.mjs'

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
  setTimeout(() => {
    bus.off('a')
    send(event('a', 1), event('end', 1))
  }, 50)
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
