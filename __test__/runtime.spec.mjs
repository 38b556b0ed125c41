// What managed Node apps see of the file that is preloaded into them: nothing, but for a working channel.
import test from 'ava'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

/** Starts a script and gives what it prints, as JSON lines. */
async function runApp(t, text, options = {}) {
  const { pm2, folder } = await makeHome(t)
  const script = path.join(folder, options.file ?? 'app.js')
  await writeFile(script, text)
  const [app] = await pm2.start({ script, name: 'app', autorestart: false, ...options.app })
  const lines = async () =>
    (await readFile(app.pm2_env.pm_out_log_path, 'utf8')).split('\n').slice(0, -1).map((line) => JSON.parse(line))
  return { pm2, app, lines, ended: () => waitFor(async () => (await pm2.describe('app'))[0].pid === 0) }
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
