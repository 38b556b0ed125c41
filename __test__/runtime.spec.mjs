// What managed Node apps see of the file that is preloaded into them: nothing, but for a working channel.
import test from 'ava'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { makeHome } from './helpers/home.mjs'
import { atLeast, nodes } from './helpers/nodes.mjs'
import { waitFor } from './helpers/wait.mjs'

/** Starts a script and gives what it prints, as JSON lines. */
async function runApp(t, text, options = {}) {
  const { pm2, folder } = await makeHome(t)
  const script = path.join(folder, options.file ?? 'app.js')
  await writeFile(script, text)
  const said = []
  if (options.bus) (await pm2.launchBus()).on('*', (topic, packet) => said.push({ topic, packet }))
  const [app] = await pm2.start({ script, name: 'app', autorestart: false, ...options.app })
  const lines = async () =>
    (await readFile(app.pm2_env.pm_out_log_path, 'utf8')).split('\n').slice(0, -1).map((line) => JSON.parse(line))
  return { pm2, app, said, lines, ended: () => waitFor(async () => (await pm2.describe('app'))[0].pid === 0) }
}

const print = 'const print = (value) => console.log(JSON.stringify(value));'

test('no trace is left, and an app that has nothing to do ends', async (t) => {
  const { lines, ended, pm2 } = await runApp(
    t,
    `${print} print([process.execArgv, Object.keys(process.env).filter((key) => /CHANNEL/.test(key)),
      require.main === module, process.argv[1] === __filename, Object.keys(require.cache).length])`,
    { app: { node_args: ['--no-warnings'] } }
  )
  await ended()
  t.deepEqual(await lines(), [[['--no-warnings'], [], true, true, 1]])
  const [{ pm2_env }] = await pm2.describe('app')
  t.deepEqual([pm2_env.exit_code, pm2_env.node_version], [0, process.versions.node])
})

test('a listener for messages opens the channel and keeps the app alive', async (t) => {
  const { pm2, app, lines, ended } = await runApp(
    t,
    `${print} process.on('message', (message) => { print(message.data); process.disconnect() })
     process.on('disconnect', () => print(['disconnect', process.connected]))`
  )
  await pm2.sendDataToProcessId({ id: app.pm_id, type: 'process:msg', topic: 'x', data: { hello: 'ä' } })
  await ended()
  t.deepEqual(await lines(), [{ hello: 'ä' }, ['disconnect', false]])
})

test('what was sent before anybody listened is not lost', async (t) => {
  const { pm2, app, lines, ended } = await runApp(
    t,
    `${print} setTimeout(() => process.once('message', (message) => { print(message.data); process.exit() }), 300)`
  )
  await pm2.sendDataToProcessId({ id: app.pm_id, topic: 'x', data: 1 })
  await ended()
  t.deepEqual(await lines(), [1])
})

test('child processes and worker threads are left alone', async (t) => {
  const { lines, ended } = await runApp(
    t,
    `${print}
     const { fork } = require('node:child_process')
     const { Worker, isMainThread } = require('node:worker_threads')
     if (!isMainThread) print(['worker', typeof process.send])
     else if (process.argv[2] === 'child') process.send([process.execArgv, 'PM2_RS_CHANNEL_FD' in process.env])
     else new Worker(__filename).on('exit', () => fork(__filename, ['child']).on('message', print))`
  )
  await ended()
  t.deepEqual(await lines(), [
    ['worker', 'undefined'],
    [[], false]
  ])
})

test('a first line of output does not open the channel', async (t) => {
  const { lines, ended } = await runApp(
    t,
    `${print} print(1)
     print(Object.getOwnPropertyDescriptor(process, 'channel').get !== undefined)
     print(process.channel.fd)`
  )
  await ended()
  t.deepEqual(await lines(), [1, true, 3])
})

for (const clear of ['', "'newListener'"]) {
  test(`an app that has removed all listeners (${clear}) hears messages`, async (t) => {
    const { pm2, app, lines, ended } = await runApp(
      t,
      `${print} process.removeAllListeners(${clear})
       process.on('message', (message) => { print(message.data); process.exit() })
       setTimeout(() => process.exit(9), 20000)`
    )
    await pm2.sendDataToProcessId({ id: app.pm_id, topic: 'x', data: 1 })
    await ended()
    t.deepEqual(await lines(), [1])
  })
}

test('what the app has deleted or replaced stays so when the channel opens', async (t) => {
  const { pm2, app, lines, ended } = await runApp(
    t,
    `${print} delete process.send
     Object.defineProperty(process, 'disconnect', { value: 'own', configurable: true })
     process.on('message', (message) => { print([message.data, typeof process.send, process.disconnect, process.connected]); process.exit() })`
  )
  await pm2.sendDataToProcessId({ id: app.pm_id, topic: 'x', data: 1 })
  await ended()
  t.deepEqual(await lines(), [[1, 'undefined', 'own', true]])
})

test('what NODE_OPTIONS preloads has the channel, and the end of the app is a natural one', async (t) => {
  const { pm2, folder } = await makeHome(t)
  const preload = path.join(folder, 'preload.cjs')
  const script = path.join(folder, 'app.js')
  await writeFile(preload, `process.send({ type: 'early', data: 1 })\nprocess.once('message', ({ data }) => process.send({ type: 'got', data }))`)
  await writeFile(script, '')
  const said = []
  ;(await pm2.launchBus()).on('*', (topic, packet) => said.push([topic, packet.data ?? packet.event]))
  await pm2.start({ script, name: 'app', env: { NODE_OPTIONS: `--no-warnings --require ${preload}` } })
  await waitFor(() => said.some(([topic]) => topic === 'early'))
  const id = (await pm2.list())[0].pm_id
  await pm2.sendDataToProcessId({ id, topic: 'x', data: 'ä' })
  await waitFor(() => said.some(([, event]) => event === 'exit'))
  t.deepEqual(said.filter(([topic]) => ['early', 'got'].includes(topic)), [['early', 1], ['got', 'ä']])
  const [{ pm2_env }] = await pm2.describe('app')
  t.is(pm2_env.unstable_restarts, 0)
  t.is(pm2_env.node_version, process.versions.node)
})

test('a report that does not fit into the channel at once comes whole, and so does what follows', async (t) => {
  const { said, ended } = await runApp(
    t,
    `process.on('uncaughtException', (error) => {
       if (error.message[0] === 'c') process.exit()
     })
     setTimeout(() => { throw new Error('a'.repeat(6e5)) }, 20)
     setTimeout(() => { throw new Error('b'.repeat(6e5)) }, 40)
     setTimeout(() => { throw new Error('c'.repeat(6e5)) }, 80)`,
    { bus: true }
  )
  await ended()
  const told = () => said.filter(({ topic }) => topic === 'process:exception').map(({ packet }) => packet.data.message)
  await waitFor(() => told().length === 3)
  t.deepEqual(told().map((message) => [message[0], message.length]), [['a', 6e5], ['b', 6e5], ['c', 6e5]])
})

// Whoever is not root cannot become somebody else.
if (process.getuid() === 0) {
  test('an app that has given up being root starts worker threads', async (t) => {
    const { lines, ended } = await runApp(
      t,
      `${print} process.setgid(65534)
       process.setuid(65534)
       const { Worker } = require('node:worker_threads')
       const worker = new Worker("require('node:worker_threads').parentPort.postMessage(process.getuid())", { eval: true })
       worker.on('message', print).on('error', ({ message }) => print(message))`
    )
    await ended()
    t.deepEqual(await lines(), [65534])
  })
}

test('an ES module sees the channel too', async (t) => {
  const { lines, ended } = await runApp(
    t,
    `import process, { send } from 'node:process'
     console.log(JSON.stringify([typeof process.send, process.connected, typeof send]))`,
    { file: 'app.mjs' }
  )
  await ended()
  t.deepEqual(await lines(), [['function', true, 'function']])
})

test('an unhandled rejection is logged and the app goes on, unless it is to be strict', async (t) => {
  const text = `Promise.reject(new Error('nobody caught this')); setTimeout(() => console.log('"on"'), 200)`
  const lenient = await runApp(t, text)
  await lenient.ended()
  t.deepEqual(await lenient.lines(), ['on'])
  t.regex(await readFile(lenient.app.pm2_env.pm_err_log_path, 'utf8'), /Error: nobody caught this/)

  const strict = await runApp(t, text, { app: { unhandled_rejections: 'strict' } })
  await strict.ended()
  t.deepEqual(await strict.lines(), [])
  t.is((await strict.pm2.describe('app'))[0].pm2_env.exit_code, 1)
})

test('pmx: false leaves the file out', async (t) => {
  const { lines, ended, pm2 } = await runApp(
    t,
    `${print} print([process.execArgv, typeof process.send, process.listenerCount('unhandledRejection')])`,
    { app: { pmx: false } }
  )
  await ended()
  t.deepEqual(await lines(), [[[], 'function', 0]])
  t.is((await pm2.describe('app'))[0].pm2_env.node_version, undefined)
})

for (const { path: node, version } of nodes) {
  for (const mode of ['fork', 'cluster']) {
    const app = { interpreter: node, exec_mode: mode }
    const exceptions = (said) => said.filter(({ topic }) => topic === 'process:exception').map(({ packet }) => packet)

    for (const file of ['app.js', 'app.mjs']) {
      test(`Node ${version}, ${mode}, ${file}: an error nobody caught is reported and ends the app as in Node`, async (t) => {
        const text = `console.log('1')\nsetTimeout(() => {\n  throw Object.assign(new TypeError('boom'), { code: 'E_OWN', self: process })\n}, 50)\n`
        const { said, ended, pm2 } = await runApp(t, text, { bus: true, file, app })
        await ended()
        const [{ data, process }, ...others] = await waitFor(() => exceptions(said).length > 0 && exceptions(said))
        t.deepEqual(others, [])
        t.like(data, { message: 'boom', name: 'TypeError', code: 'E_OWN' })
        t.is(data.callsite, `${(await pm2.describe('app'))[0].pm2_env.pm_exec_path}:3`)
        t.is(data.context, `console.log('1')\nsetTimeout(() => {\n>>throw Object.assign(new TypeError('boom'), { code: 'E_OWN', self: process })\n}, 50)\n`)
        t.regex(data.stack, /^TypeError: boom\n +at /)
        t.is(process.name, 'app')
        // It was told before the end was.
        const topics = said.map(({ topic, packet }) => (topic === 'process:event' ? packet.event : topic))
        t.true(topics.indexOf('process:exception') < topics.indexOf('exit'))
        const [{ pm2_env }] = await pm2.describe('app')
        t.is(pm2_env.exit_code, 1)
        t.regex(await readFile(pm2_env.pm_err_log_path, 'utf8'), /throw Object\.assign[^]*TypeError: boom/)
      })
    }

    test(`Node ${version}, ${mode}: an app that catches errors itself goes on, and what is no error is told as well`, async (t) => {
      const { said, lines, ended } = await runApp(
        t,
        `process.on('uncaughtException', (error) => console.log(JSON.stringify(String(error))))
         const circle = {}
         circle.circle = circle
         const bad = new Error('bad')
         Object.defineProperty(bad, 'stack', { get() { throw new Error('no stack') } })
         const things = ['text', 7, undefined, null, { a: 1 }, circle, 10n, bad]
         const next = () => {
           if (things.length === 0) setTimeout(() => process.exit(), 100)
           else { setTimeout(next, 5); throw things.shift() }
         }
         setTimeout(next, 20)`,
        { bus: true, app }
      )
      await ended()
      t.is((await lines()).length, 8)
      const messages = exceptions(said).map(({ data }) => data.message)
      t.deepEqual(messages.slice(0, 5), ['"text"', '7', 'undefined', 'null', '{"a":1}'].map((text) => `Non-error value: ${text}`))
      t.regex(messages[5], /Circular/)
      t.is(messages[6], '10n')
      t.is(messages.length, 8)
    })

    test(`Node ${version}, ${mode}: errors keep what can be told, and those that are handled are not told`, async (t) => {
      const { said, lines, ended } = await runApp(
        t,
        `${print}
         const getter = { enumerable: true, get() { throw new Error('getter') } }
         const name = (text) => Object.assign(new RangeError(text), { code: text.toUpperCase() })
         const errors = [
           Object.assign(name('number'), { n: 10n }),
           Object.defineProperty(name('getter'), 'x', getter),
           Object.assign(name('json'), { toJSON: () => 'json' }),
           Object.defineProperty(name('proto'), '__proto__', { value: { message: 'no' }, enumerable: true }),
           Object.defineProperty(name('stack'), 'stack', getter),
           { [Symbol.for('nodejs.util.inspect.custom')]: getter.get, toJSON: getter.get, get [Symbol.toStringTag]() { throw 5 } },
         ]
         process.once('uncaughtException', () => {})
         const domain = require('node:domain').create()
         const next = () => {
           if (errors.length > 0) {
             process.once('uncaughtException', () => setTimeout(next, 5))
             throw errors.shift()
           }
           process.removeAllListeners('uncaughtException')
           domain.on('error', (error) => {
             print(error.message)
             setTimeout(() => process.exit(), 50)
           })
           domain.run(() => setTimeout(() => { throw new Error('domain') }))
         }
         setTimeout(next, 20)`,
        { bus: true, app }
      )
      await ended()
      t.deepEqual(await lines(), ['domain'])
      const data = exceptions(said).map(({ data }) => data)
      t.deepEqual(
        data.slice(0, 5).map(({ message, name, code }) => [message, name, code]),
        ['number', 'getter', 'json', 'proto', 'stack'].map((text) => [text, 'RangeError', text.toUpperCase()])
      )
      t.regex(data[0].callsite, /app\.js:\d+$/)
      t.deepEqual([data[0].n, data[4].stack, data[5].message, data.length], ['10n', 'RangeError: stack', 'Non-error value: object', 6])
    })

    test(`Node ${version}, ${mode}: places are those of the source, unless disable_source_map_support`, async (t) => {
      const { pm2, folder } = await makeHome(t)
      const file = (name) => path.join(folder, name)
      await writeFile(file('app.ts'), `\n\n\n\nthrow new Error('mapped')\n`)
      await writeFile(file('app.js'), `throw new Error('mapped')\n//# sourceMappingURL=app.js.map\n`)
      const map = { version: 3, sources: ['app.ts'], names: [], mappings: 'AAIA,MAAM,IAAI,KAAK,CAAC,QAAQ,CAAC' }
      await writeFile(file('app.js.map'), JSON.stringify(map))
      const said = []
      ;(await pm2.launchBus()).on('process:exception', ({ data, process }) => said.push([process.name, data.callsite]))
      const options = { ...app, script: file('app.js'), autorestart: false }
      const [on] = await pm2.start({ ...options, name: 'on' })
      const [off] = await pm2.start({ ...options, name: 'off', disable_source_map_support: true })
      await waitFor(() => said.length === 2)
      t.deepEqual(said.sort().reverse(), [['on', `${file('app.ts')}:5`], ['off', `${file('app.js')}:1`]])
      const log = ({ pm2_env }) => readFile(pm2_env.pm_err_log_path, 'utf8')
      await waitFor(async () => (await log(on)).includes(`${file('app.ts')}:5:7)`))
      await waitFor(async () => (await log(off)).includes(`${file('app.js')}:1:7)`))
    })

    test(`Node ${version}, ${mode}: metrics come without keeping the app alive or its channel open`, async (t) => {
      const { pm2, ended } = await runApp(t, `setTimeout(() => {}, 2500)`, { app })
      const names = ['Heap Size', 'Heap Usage', 'Used Heap Size', 'Active requests', 'Active handles', 'Event Loop Latency', 'Event Loop Latency p95']
      const env = async () => (await pm2.describe('app'))[0].pm2_env
      await waitFor(async () => Object.keys((await env()).axm_monitor).length > 0)
      const { axm_monitor: seen } = await env()
      t.deepEqual(Object.keys(seen), names)
      t.true(Number(seen['Used Heap Size'].value) > 1 && Number(seen['Heap Usage'].value) > 1)
      t.like(seen['Heap Size'], { unit: 'MiB', type: 'internal/v8/heap/total', historic: true })
      t.true(Number(seen['Event Loop Latency'].value) >= 0)
      if (mode === 'fork') await ended()
    })
  }

  test(`Node ${version}: what runs under --watch keeps the channel of its parent`, async (t) => {
    const { pm2, said, lines } = await runApp(
      t,
      `${print} print('runs')
       process.send({ type: 'own', data: 1 })
       setTimeout(() => print('on'), 200)
       setTimeout(() => {}, 20000)`,
      { bus: true, app: { interpreter: node, node_args: ['--watch'] } }
    )
    await waitFor(async () => (await lines().catch(() => [])).length === 2)
    t.deepEqual(await lines(), ['runs', 'on'])
    const [{ pm2_env }] = await pm2.describe('app')
    t.is(pm2_env.status, 'online')
    // Before that, what it sends goes no further than to the process that watches.
    if (atLeast({ version }, '20.0.0')) await waitFor(() => said.some(({ topic }) => topic === 'own'))
  })

  test(`Node ${version}: workers, children and grandchildren get nothing of it`, async (t) => {
    const { said, lines, ended } = await runApp(
      t,
      `${print}
       const { execFile } = require('node:child_process')
       const { Worker } = require('node:worker_threads')
       const { readlinkSync } = require('node:fs')
       const program = "let on3 = ''; try { on3 = require('fs').readlinkSync('/proc/self/fd/3') } catch {}" +
         "console.log(JSON.stringify([process.execArgv.length, typeof process.send, on3.startsWith('socket'), Object.keys(process.env).filter((name) => /CHANNEL/.test(name)), process.listenerCount('uncaughtExceptionMonitor')]))"
       const worker = new Worker("throw new Error('in a worker')", { eval: true })
       worker.on('error', (error) => {
         print(error.message)
         execFile(process.execPath, ['-e', program], (error, text) => print(JSON.parse(text)))
       })`,
      { bus: true, app: { interpreter: node } }
    )
    await ended()
    t.deepEqual(await lines(), ['in a worker', [2, 'undefined', false, [], 0]])
    t.false(said.some(({ topic }) => topic === 'process:exception'))
  })
}
