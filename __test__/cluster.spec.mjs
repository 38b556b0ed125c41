// Unmodified servers of every kind in cluster mode: all workers answer at one address, and a reload replaces them all.
import dgram from 'node:dgram'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import path from 'node:path'
import test from 'ava'
import { fixture, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const host = '127.0.0.1'

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, host, () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** The whole text of a stream. */
async function textOf(stream) {
  let text = ''
  for await (const chunk of stream) text += chunk
  return text
}

function overHttp({ get }, port, options) {
  return new Promise((resolve, reject) => {
    get({ host, port, agent: false, ...options }, (response) => resolve(textOf(response))).on('error', reject)
  })
}

function overSocket(options) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(options)
    socket.on('error', reject)
    textOf(socket).then(resolve, reject)
  })
}

async function overHttp2(port) {
  const session = http2.connect(`http://${host}:${port}`)
  try {
    return await new Promise((resolve, reject) => {
      session.on('error', reject)
      textOf(session.request({ ':path': '/' })).then(resolve, reject)
    })
  } finally {
    session.close()
  }
}

function overUdp(port) {
  const socket = dgram.createSocket('udp4')
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer')), 1000)
    socket.on('message', (text) => {
      clearTimeout(timer)
      resolve(String(text))
    })
    socket.send('?', port, host)
  }).finally(() => socket.close())
}

/** How to ask each server for the pid of whoever answers. */
const servers = {
  'http.js': (port) => overHttp(http, port),
  'https.js': (port) => overHttp(https, port, { rejectUnauthorized: false }),
  'http2.js': overHttp2,
  'net.js': (port) => overSocket({ host, port }),
  'udp.js': overUdp,
  'module.mjs': (port) => overHttp(http, port),
  'unix.js': (_, socket) => overSocket({ path: socket })
}

for (const [script, ask] of Object.entries(servers)) {
  test(`four workers of ${script} share one address, before and after a reload`, async (t) => {
    const { folder, pm2 } = await makeHome(t)
    const port = await freePort()
    const socket = path.join(folder, 'socket')
    const app = { name: 'app', script: fixture(`servers/${script}`), interpreter: 'node', instances: 4, env: { PORT: port, SOCKET: socket } }
    const pids = async () => (await pm2.list()).map(({ pid }) => String(pid))
    const answer = () => waitFor(() => ask(port, socket).catch(() => undefined))
    await pm2.start(app)
    const before = await pids()
    t.is(new Set(before).size, 4)
    for (let n = 0; n < 8; n += 1) t.true(before.includes(await answer()))

    const replaced = await pm2.reload('app')
    t.deepEqual(replaced.map(({ pm_id: id }) => id).sort(), ['_old_0', '_old_1', '_old_2', '_old_3'])
    const after = await pids()
    t.false(after.some((pid) => before.includes(pid)))
    for (let n = 0; n < 8; n += 1) t.true(after.includes(await answer()))

    await pm2.scale('app', '+1')
    t.is((await pids()).length, 5)
    await pm2.scale('app', 1)
    const [last] = await pids()
    for (let n = 0; n < 4; n += 1) t.is(await answer(), last)
    await pm2.stop('app')
    await t.throwsAsync(ask(port, socket))
  })
}
