import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { fakeNative } from './helpers/fake-native.mjs'

const require = createRequire(import.meta.url)
const { API } = require('../lib/api.js')
const whole = require('../index.js')

test.beforeEach(async (t) => {
  const fake = fakeNative((name) => t.context.replies?.[name] ?? { result: [] })
  const folder = await mkdtemp(path.join(tmpdir(), 'pm2-rs-arguments-'))
  await writeFile(path.join(folder, 'apps.json'), '{"apps":[{"name":"a","script":"a.js"}]}')
  t.context = { folder, calls: fake.calls, pm2: new API({ pm2_home: '/nowhere', cwd: folder }, fake.native) }
})

test.afterEach.always((t) => rm(t.context.folder, { recursive: true }))

/** The one verb a call makes, without the context that accompanies it. */
async function request(t, method, ...args) {
  t.context.calls.length = 0
  await t.context.pm2[method](...args)
  const [verb, { context, ...rest }] = t.context.calls.find(([name]) => name !== 'connect')
  t.context.seen = context
  return [verb, rest]
}

test('the module is an instance of its class, with methods that need no this', async (t) => {
  t.true(whole instanceof whole.custom)
  t.is(whole.constructor.name, 'API')
  const { list, start } = t.context.pm2
  t.deepEqual(await list(), [])
  t.deepEqual(await promisify(start)('a.js'), [])
})

test('patching the class is seen by instances', async (t) => {
  class Mine extends API {
    async list() {
      return ['mine', await super.list()]
    }
  }
  t.deepEqual(await new Mine({ pm2_home: '/nowhere' }, fakeNative().native).list(), ['mine', []])
})

test('start takes scripts, app objects and configuration files', async (t) => {
  const app = { name: 'a', script: 'a.js' }
  const cases = [
    [['a.js'], { script: 'a.js', options: {} }],
    [['a.js', { name: 'x' }], { script: 'a.js', options: { name: 'x' } }],
    [['a.js', 'apps.json'], { script: 'a.js', options: {} }],
    [[app], { config: app, options: {} }],
    [[[app, app]], { config: [app, app], options: {} }],
    [[{ apps: [app] }, { only: 'a' }], { config: { apps: [app] }, options: { only: 'a' } }],
    [[[]], { config: [], options: {} }],
    [['apps.json'], { config: { apps: [app] }, options: {} }],
    [['apps.json', { env: 'production' }], { config: { apps: [app] }, options: { env: 'production' } }]
  ]
  for (const [args, expected] of cases) t.deepEqual(await request(t, 'start', ...args), ['start', expected])
  t.is(t.context.seen.cwd, t.context.folder)
  t.is(t.context.seen.node, process.execPath)
})

test('the callback may take the place of any argument that is left out', async (t) => {
  for (const args of [['a.js'], ['a.js', {}], [{ script: 'a.js' }]]) {
    await new Promise((resolve, reject) => {
      const answer = t.context.pm2.start(...args, (error, result) => (error ? reject(error) : resolve(result)))
      t.is(answer, undefined)
    })
  }
})

test('restart, reload, stop and delete take processes, app objects and files', async (t) => {
  const app = { name: 'a', script: 'a.js' }
  for (const method of ['restart', 'reload']) {
    t.deepEqual(await request(t, method, 0), [method, { target: 0, options: {} }])
    t.deepEqual(await request(t, method, 'a', { updateEnv: true }), [method, { target: 'a', options: { updateEnv: true } }])
    t.deepEqual(await request(t, method, ['a', 1]), [method, { target: ['a', 1], options: {} }])
    t.deepEqual(await request(t, method, app), [method, { config: app, options: {} }])
    t.deepEqual(await request(t, method, 'apps.json'), [method, { config: { apps: [app] }, options: {} }])
  }
  const file = path.join(t.context.folder, 'apps.json')
  for (const method of ['stop', 'delete']) {
    t.deepEqual(await request(t, method, 'all'), [method, { target: 'all' }])
    t.deepEqual(await request(t, method, [app]), [method, { config: [app] }])
    t.deepEqual(await request(t, method, file), [method, { config: { apps: [app] } }])
    t.is(t.context.seen.cwd, process.cwd())
  }
  t.deepEqual(await request(t, 'delete', '[{"name":"a"}]', 'pipe'), ['delete', { config: [{ name: 'a' }] }])
})

test('what PM2 crashes on is a TypeError', async (t) => {
  const { pm2 } = t.context
  for (const wrong of [undefined, null, true, [[1]], NaN]) {
    for (const method of ['stop', 'restart', 'reload', 'delete', 'describe', 'reset']) {
      await t.throwsAsync(pm2[method](wrong), { instanceOf: TypeError }, `${method} ${String(wrong)}`)
    }
  }
  for (const wrong of [undefined, null, true, 0, 1, [1]]) {
    await t.throwsAsync(pm2.start(wrong), { instanceOf: TypeError }, String(wrong))
  }
  await t.throwsAsync(pm2.sendDataToProcessId(0), { instanceOf: TypeError })
  await t.throwsAsync(pm2.sendSignalToProcessName('SIGINT'), { instanceOf: TypeError })
  await t.throwsAsync(pm2.scale('a', 'many'), { instanceOf: TypeError })
  const error = await new Promise((resolve) => pm2.stop(null, resolve))
  t.true(error instanceof TypeError)
})

test('the caller keeps its objects and its environment', async (t) => {
  const options = { env: { A: 1 }, instances: 'max', exec_mode: 'fork', script: 'a.js' }
  const packet = { data: 1, type: 't' }
  const before = structuredClone([options, packet, { ...process.env }])
  await t.context.pm2.start(options)
  await request(t, 'start', options)
  t.is(t.context.seen.env.PM2_PROGRAMMATIC, 'true')
  t.is(t.context.seen.env.PM2_JSON_PROCESSING, 'true')
  await request(t, 'start', 'a.js')
  t.is(t.context.seen.env.PM2_JSON_PROCESSING, process.env.PM2_JSON_PROCESSING)
  await t.context.pm2.sendDataToProcessId(3, packet)
  t.deepEqual([options, packet, { ...process.env }], before)
})

test('apps that fail are an array for a callback and a StartError for a promise', async (t) => {
  t.context.replies = { start: { errors: [{ message: 'Script not found: /a.js' }, { message: 'no' }], result: [{ pm_id: 1 }] } }
  const [error, result] = await new Promise((resolve) => t.context.pm2.start([{}], (...args) => resolve(args)))
  t.true(Array.isArray(error))
  t.deepEqual(
    error.map((one) => [one instanceof Error, one.message]),
    [
      [true, 'Script not found: /a.js'],
      [true, 'no']
    ]
  )
  t.deepEqual(result, [{ pm_id: 1 }])
  const rejected = await t.throwsAsync(t.context.pm2.start([{}]), { name: 'StartError', message: 'Script not found: /a.js, no' })
  t.deepEqual(rejected.processes, [{ pm_id: 1 }])
})

test('a packet for an app needs id and data, and gets a topic', async (t) => {
  const { pm2 } = t.context
  t.context.calls.length = 0
  await pm2.sendDataToProcessId({ id: 2, type: 'process:msg', data: { a: 1 } })
  await pm2.sendDataToProcessId(2, { topic: 'x', data: 0 })
  t.deepEqual(
    t.context.calls.filter(([name]) => name === 'sendDataToProcessId').map(([, args]) => args),
    [[{ id: 2, type: 'process:msg', data: { a: 1 }, topic: 'process:msg' }], [{ id: 2, topic: 'x', data: 0 }]]
  )
  await t.throwsAsync(pm2.sendDataToProcessId({ data: 1 }), { message: 'ID, DATA or TOPIC field is missing' })
  await t.throwsAsync(pm2.sendDataToProcessId(1, { topic: 'x' }), { message: 'ID, DATA or TOPIC field is missing' })
})

test('scale copies and deletes the oldest', async (t) => {
  const { pm2, calls } = t.context
  const entry = (pm_id) => ({ pm_id, name: 'a', pm2_env: { name: 'a' } })
  t.context.replies = { getMonitorData: { result: [entry(3), entry(5), { pm_id: 6, name: 'b', pm2_env: {} }] } }
  const made = async (count) => {
    calls.length = 0
    t.deepEqual(await pm2.scale('a', count), { success: true })
    return calls.filter(([name]) => name.endsWith('ProcessId')).map(([name, args]) => `${name} ${args}`)
  }
  t.deepEqual(await made(4), ['duplicateProcessId 3', 'duplicateProcessId 3'])
  t.deepEqual(await made('+1'), ['duplicateProcessId 3'])
  t.deepEqual(await made(1), ['deleteProcessId 3'])
  t.deepEqual(await made('-2'), ['deleteProcessId 3', 'deleteProcessId 5'])
  await t.throwsAsync(pm2.scale('a', 2), { message: 'Same process number' })
  await t.throwsAsync(pm2.scale('nope', 2), { message: 'App not found' })
})

test('flush empties the logs of its target, and pm2.log only without one', async (t) => {
  const { readFile } = await import('node:fs/promises')
  const { folder } = t.context
  const file = (name) => path.join(folder, name)
  const fake = fakeNative(() => ({
    result: ['a', 'b'].map((name, pm_id) => ({
      pm_id,
      name,
      pm2_env: { name, pm_out_log_path: file(`${name}.log`), pm_err_log_path: '/dev/null', pm_log_path: file('absent.log') }
    }))
  }))
  const pm2 = new API({ pm2_home: folder }, fake.native)
  const texts = () => Promise.all(['a.log', 'b.log', 'pm2.log'].map((name) => readFile(file(name), 'utf8')))
  const fill = () => Promise.all(['a.log', 'b.log', 'pm2.log'].map((name) => writeFile(file(name), 'x')))
  for (const [args, expected] of [
    [['b'], ['x', '', 'x']],
    [[0], ['', 'x', 'x']],
    [['nope'], ['x', 'x', 'x']],
    [[], ['', '', '']]
  ]) {
    await fill()
    t.is((await pm2.flush(...args)).length, 2)
    t.deepEqual(await texts(), expected, JSON.stringify(args))
  }
})

test('every method can be imported by name', async (t) => {
  const named = await import('../index.js')
  const methods = Object.getOwnPropertyNames(whole.custom.prototype).filter((name) => name !== 'constructor' && name !== 'Client')
  t.deepEqual(Object.keys(named).sort(), [...methods, 'custom', 'default'].sort())
  for (const name of methods) t.is(named[name], whole[name], name)
  t.is(named.custom, whole.custom)
  t.is(named.default, whole)
})

test('methods about one process take no list', async (t) => {
  const { pm2 } = t.context
  for (const [method, ...args] of [
    ['describe', ['a']],
    ['reset', ['a']],
    ['flush', ['a']],
    ['monitorState', 'monitor', ['a']],
    ['sendSignalToProcessId', 'SIGINT', [0]],
    ['sendSignalToProcessName', 'SIGINT', ['a']],
    ['sendLineToStdin', [0], 'x'],
    ['getPID', ['a']],
    ['getProcessIdByName', ['a']]
  ]) {
    await t.throwsAsync(pm2[method](...args), { instanceOf: TypeError, message: /not an array/ }, method)
  }
})

test('what is no description of an app is refused by name', async (t) => {
  const { pm2 } = t.context
  for (const [wrong, message] of [
    [new Date(0), /class Date/],
    [new Map(), /class Map/],
    [[new Date(0)], /class Date/],
    [{ apps: [/x/] }, /class RegExp/],
    [[[]], /an array/]
  ]) {
    for (const method of ['start', 'restart']) await t.throwsAsync(pm2[method](wrong), { instanceOf: TypeError, message })
  }
  class Description {
    script = 'a.js'
  }
  await t.notThrowsAsync(pm2.start(new Description()))
  class Special extends Description {
    get args() {
      return ['x']
    }
  }
  t.deepEqual(await request(t, 'start', new Special()), ['start', { config: { script: 'a.js', args: ['x'] }, options: {} }])
  await t.notThrowsAsync(pm2.start(Object.assign(Object.create(null), { script: 'a.js' })))
})

test('numeric text is an id only as it is shown', async (t) => {
  const { pm2, calls } = t.context
  t.context.replies = { getMonitorData: { result: [{ pm_id: 0, name: 'a', pm2_env: { name: 'a' } }] } }
  for (const text of ['00', '-0', '+0', ' 0', '0x0', '']) {
    calls.length = 0
    t.deepEqual(await pm2.reset(text), { success: true }, JSON.stringify(text))
    await t.throwsAsync(pm2.monitorState('monitor', text), { message: text === '' ? 'argument missing' : 'Unknown pm_id' })
    t.deepEqual(calls.filter(([name]) => name === 'resetMetaProcessId' || name === 'monitor'), [], JSON.stringify(text))
  }
  await pm2.reset('0')
  await pm2.monitorState('monitor', '0')
  t.deepEqual(calls.slice(-2).map(([name]) => name), ['resetMetaProcessId', 'monitor'])
})
