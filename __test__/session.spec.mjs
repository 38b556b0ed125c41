import { createRequire } from 'node:module'
import path from 'node:path'
import test from 'ava'
import { fakeNative } from './helpers/fake-native.mjs'

const require = createRequire(import.meta.url)
const { API } = require('../lib/api.js')

const never = () => new Promise(() => {})
const count = (calls, name) => calls.filter(([called]) => called === name).length

function make(t, ...args) {
  const fake = fakeNative(...args)
  return { ...fake, pm2: new API({ pm2_home: '/nowhere' }, fake.native) }
}

test('parallel first calls share one connection', async (t) => {
  const { pm2, calls, connections } = make(t)
  const [first] = await Promise.all([pm2.connect(), pm2.connect(), pm2.list(), pm2.list(), pm2.ping()])
  t.is(count(calls, 'connect'), 1)
  t.deepEqual(first, {
    daemon_mode: undefined,
    new_pm2_instance: true,
    rpc_socket_file: '/nowhere/rpc.sock',
    pub_socket_file: '/nowhere/pub.sock',
    pm2_home: '/nowhere'
  })
  t.false((await pm2.connect()).new_pm2_instance)
  await pm2.disconnect()
  t.false(connections[0].isOpen)
})

test('all forms of connect', async (t) => {
  for (const [attached, args] of [
    [false, []],
    [false, [false]],
    [false, [{}]],
    [true, [true]],
    [true, [{ daemon_mode: false }]]
  ]) {
    const { pm2, calls } = make(t)
    await pm2.connect(...args)
    await new Promise((resolve, reject) => {
      const answer = pm2.connect(...args, (error, meta) => (error === null && meta ? resolve() : reject(error)))
      t.is(answer, undefined)
    })
    t.is(calls[0][1].attached, attached, JSON.stringify(args))
  }
})

test('a lost connection fails every pending call, and the next call connects again', async (t) => {
  let answer = never
  const { pm2, calls, lose } = make(t, () => answer())
  await pm2.connect()
  const pending = [pm2.list(), pm2.stop('a'), pm2.start('a.js'), pm2.Client.executeRemote('ping', {})]
  setTimeout(lose, 20)
  for (const call of pending) await t.throwsAsync(call, { code: 'PM2_CONNECTION_LOST' })
  answer = () => ({ result: [] })
  t.deepEqual(await pm2.list(), [])
  t.is(count(calls, 'connect'), 2)
})

test('a refused connection is the error of each call that needed it, and is tried again', async (t) => {
  const { pm2, calls } = make(t, undefined, { refuse: { message: 'permission denied', code: 'EACCES' } })
  await Promise.all([
    t.throwsAsync(pm2.connect(), { message: 'permission denied', code: 'EACCES' }),
    t.throwsAsync(pm2.list(), { code: 'EACCES' })
  ])
  await t.throwsAsync(pm2.list(), { code: 'EACCES' })
  t.is(count(calls, 'connect'), 2)
})

function closed(pm2) {
  return new Promise((resolve) => pm2.disconnect((error) => resolve(error?.message ?? error)))
}

test('disconnect reports what PM2 reports', async (t) => {
  const { pm2, lose } = make(t)
  t.is(await closed(pm2), 'SUB connection to PM2 is not launched')
  await pm2.connect()
  t.is(await closed(pm2), null)
  t.is(await closed(pm2), 'RPC already being closed')
  await pm2.list()
  lose()
  await new Promise((resolve) => setImmediate(resolve))
  t.is(await closed(pm2), 'RPC already being closed')
  await t.notThrowsAsync(pm2.disconnect())
})

test('disconnect waits for a connection that is being made', async (t) => {
  const { pm2, connections } = make(t)
  const connecting = pm2.connect()
  t.is(await closed(pm2), null)
  await connecting
  t.false(connections[0].isOpen)
})

test('disconnect lets calls on their way settle, but not for long', async (t) => {
  const { pm2, connections } = make(t, (name) => {
    return name === 'stop' ? never() : new Promise((resolve) => setTimeout(resolve, 50, { result: ['done'] }))
  })
  await pm2.connect()
  const quick = pm2.start('a.js')
  const stuck = pm2.stop('a')
  const start = performance.now()
  await pm2.disconnect()
  t.true(performance.now() - start < 400)
  t.deepEqual(await quick, ['done'])
  await t.throwsAsync(stuck, { code: 'PM2_CONNECTION_LOST' })
  t.false(connections[0].isOpen)
})

test('killDaemon ends the connection, and without a daemon launches none', async (t) => {
  const { pm2, calls, connections } = make(t, () => ({ result: { success: true } }))
  t.deepEqual(await pm2.killDaemon(), { success: true })
  t.deepEqual(calls, [])
  await pm2.connect()
  t.deepEqual(await pm2.killDaemon(), { success: true })
  t.is(count(calls, 'kill'), 1)
  t.false(connections[0].isOpen)
  t.is(await closed(pm2), 'RPC already being closed')
})

test('remote methods that never answer do not hang', async (t) => {
  const { pm2, calls } = make(t, never)
  await pm2.Client.executeRemote('notifyKillPM2', {})
  t.is(count(calls, 'notifyKillPM2'), 1)
})

test('connect reports what reading its options throws', async (t) => {
  const { pm2 } = make(t)
  const options = {
    get daemon_mode() {
      throw new Error('mine')
    }
  }
  await t.throwsAsync(pm2.connect(options), { message: 'mine' })
  t.is((await new Promise((resolve) => pm2.connect(options, resolve))).message, 'mine')
})

test('a relative home is one folder, whatever the working directory is', async (t) => {
  const { native, calls } = fakeNative()
  const pm2 = new API({ pm2_home: 'some/home', cwd: '/' }, native)
  const meta = await pm2.connect()
  t.is(meta.pm2_home, 'some/home')
  t.is(pm2.pm2_home, 'some/home')
  const folder = path.resolve('some/home')
  t.is(calls[0][1].home, folder)
  t.is(pm2.Client.pm2_home, folder)
  t.is(pm2.Client.pub_socket_file, path.join(folder, 'pub.sock'))
})

test('a reply that is no JSON ends the connection', async (t) => {
  const { pm2, connections } = make(t)
  await pm2.connect()
  connections[0].call = async () => '{'
  await t.throwsAsync(pm2.list(), { code: 'PM2_CONNECTION_LOST' })
  t.deepEqual(await pm2.list(), [])
  t.is(connections.length, 2)
})

test('errors of the daemon are its text, or message and code', async (t) => {
  let error = 'no such thing'
  const { pm2 } = make(t, () => ({ error }))
  await t.throwsAsync(pm2.list(), { message: 'no such thing' })
  error = { message: 'too large', code: 'PM2_REQUEST_TOO_LARGE' }
  await t.throwsAsync(pm2.list(), error)
})
