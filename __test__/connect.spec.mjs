import path from 'node:path'
import test from 'ava'
import { fixture, isAlive, makeHome, module, runNode } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

test('connect launches a daemon once and tells where it is', async (t) => {
  const { pm2, create, folder, daemonPid } = await makeHome(t)
  const meta = await pm2.connect()
  t.deepEqual(meta, {
    daemon_mode: undefined,
    new_pm2_instance: true,
    rpc_socket_file: path.join(folder, 'rpc.sock'),
    pub_socket_file: path.join(folder, 'pub.sock'),
    pm2_home: folder
  })
  const pid = await daemonPid()
  t.true(isAlive(pid))
  const other = create()
  t.deepEqual(await other.connect(), { ...meta, new_pm2_instance: false })
  t.is(await daemonPid(), pid)
  t.deepEqual(await other.ping(), { msg: 'pong' })
  t.is(await other.getVersion(), '7.0.4')
})

test('scripts that connect at the same moment get one daemon', async (t) => {
  const { script, daemonPid } = await makeHome(t)
  const text = 'pm2.connect((error, meta) => { console.log(error ? error.message : meta.new_pm2_instance); pm2.disconnect() })'
  const runs = await Promise.all(Array.from({ length: 12 }, () => script(text)))
  t.deepEqual(
    runs.map(({ stdout }) => stdout.trim()).sort(),
    [...Array(11).fill('false'), 'true']
  )
  t.true(isAlive(await daemonPid()))
})

test('a script ends by itself when it should', async (t) => {
  const { script, pm2 } = await makeHome(t)
  await pm2.connect()
  const disconnected = await script(`
    pm2.connect(() => pm2.list(() => {
      const start = Date.now()
      process.on('exit', () => console.log(Date.now() - start))
      pm2.disconnect()
    }))`)
  t.is(disconnected.code, 0)
  t.true(Number(disconnected.stdout) < 300, disconnected.stdout)

  for (const text of [
    '',
    'pm2.connect(() => pm2.connect(() => pm2.disconnect()))',
    'pm2.launchBus(() => pm2.disconnect())',
    'pm2.list(() => pm2.disconnect())',
    'pm2.stop("nope"); pm2.disconnect()',
    'pm2.connect(true, () => pm2.disconnect())'
  ]) {
    const { code, signal, stderr } = await script(text)
    t.deepEqual([code, signal, stderr], [0, null, ''], text)
  }
})

test('a live connection keeps the script alive', async (t) => {
  const { script } = await makeHome(t)
  const { stdout } = await script(`
    pm2.connect(() => {
      setTimeout(() => { console.log('alive'); process.exit() }, 1000).unref()
    })`)
  t.is(stdout, 'alive\n')
})

test('an exception in a callback is an uncaughtException and breaks nothing', async (t) => {
  const { script } = await makeHome(t)
  const { code, stdout } = await script(`
    process.on('uncaughtException', (error) => {
      console.log('caught', error.message)
      pm2.list((error, processes) => {
        console.log(error, processes.length)
        pm2.disconnect()
      })
    })
    pm2.connect(() => { throw new Error('mine') })`)
  t.is(code, 0)
  t.is(stdout, 'caught mine\nnull 0\n')
  const uncaught = await script('pm2.connect(() => { throw new Error("mine") })')
  t.is(uncaught.code, 1)
  t.regex(uncaught.stderr, /Error: mine/)
})

test('a promise nobody looks at does not end the process', async (t) => {
  const { script } = await makeHome(t)
  const { code, stdout, stderr } = await script(`
    pm2.stop('nope')
    pm2.connect(() => setTimeout(() => { console.log('still here'); pm2.disconnect() }, 100))`)
  t.deepEqual([code, stdout, stderr], [0, 'still here\n', ''])
})

test('nothing in the caller is changed', async (t) => {
  const { script } = await makeHome(t)
  const { stdout, stderr } = await script(`
    const before = JSON.stringify(process.env)
    const { log } = console
    pm2.start({ script: ${JSON.stringify(fixture('idle.js'))}, cwd: '/' }, (error) => {
      if (error) throw error
      log(before === JSON.stringify(process.env), log === console.log)
      pm2.disconnect()
    })`)
  t.is(stderr, '')
  t.is(stdout, 'true true\n')
})

test('connect(true): the daemon and its apps end with the script', async (t) => {
  const { script } = await makeHome(t)
  const { code, stdout } = await script(`
    const fs = require('node:fs')
    pm2.connect(true, (error, meta) => {
      if (error) throw error
      pm2.start(${JSON.stringify(fixture('idle.js'))}, (error, [app]) => {
        if (error) throw error
        console.log(fs.readFileSync(meta.pm2_home + '/pm2.pid', 'utf8'), app.pid)
        process.exit()
      })
    })`)
  t.is(code, 0)
  const pids = stdout.trim().split(' ').map(Number)
  t.is(pids.length, 2)
  for (const pid of pids) await waitFor(() => !isAlive(pid))
  t.pass()
})

test('a daemon that dies fails the calls under way, and the next call launches another', async (t) => {
  const { pm2, daemonPid } = await makeHome(t)
  const [app] = await pm2.start({
    script: fixture('ignore-sigint.js'),
    kill_timeout: 20_000,
    wait_ready: true,
    listen_timeout: 20_000
  })
  const stopping = [pm2.stop(app.pm_id), pm2.delete('all')]
  await waitFor(async () => (await pm2.list())[0].pm2_env.status === 'stopping')
  const first = await daemonPid()
  process.kill(first, 'SIGKILL')
  for (const call of stopping) await t.throwsAsync(call, { code: 'PM2_CONNECTION_LOST' })
  t.deepEqual(await pm2.list(), [])
  t.not(await daemonPid(), first)
})

test('killDaemon ends the daemon and its apps', async (t) => {
  const { pm2, script, daemonPid } = await makeHome(t)
  const [app] = await pm2.start(fixture('idle.js'))
  const daemon = await daemonPid()
  t.deepEqual(await pm2.killDaemon(), { success: true })
  t.false(isAlive(app.pid))
  await waitFor(() => !isAlive(daemon))
  t.false(await pm2.Client.pingDaemon())
  t.is((await pm2.connect()).new_pm2_instance, true)
  const { code, stdout } = await script('pm2.killDaemon((error, result) => console.log(error, result.success))')
  t.deepEqual([code, stdout], [0, 'null true\n'])
})

test('instances with homes of their own do not disturb each other', async (t) => {
  const [one, two] = [await makeHome(t), await makeHome(t)]
  await Promise.all([one.pm2.start(fixture('idle.js'), { name: 'one' }), two.pm2.start(fixture('idle.js'), { name: 'two' })])
  t.deepEqual((await one.pm2.list()).map(({ name }) => name), ['one'])
  t.deepEqual((await two.pm2.list()).map(({ name }) => name), ['two'])
})

test('a relative home stays the same home after chdir', async (t) => {
  const { folder, daemonPid } = await makeHome(t)
  const text = `
    const fs = require('node:fs')
    process.chdir(${JSON.stringify(path.dirname(folder))})
    const pm2 = new (require(${JSON.stringify(module)}).custom)({ pm2_home: ${JSON.stringify(path.basename(folder))}, cwd: '/' })
    const app = ${JSON.stringify(fixture('print-env.js'))}
    ;(async () => {
      const { pm2_home } = await pm2.connect()
      await pm2.start({ script: app, name: 'env', args: ['PM2_HOME'] })
      process.chdir('/')
      const bus = await pm2.launchBus()
      await pm2.disconnect()
      const [{ pm2_env: env }] = await pm2.list()
      await pm2.flush()
      console.log(pm2_home, env.restart_time, fs.readdirSync('/').includes(pm2_home))
      await pm2.disconnect()
    })()`
  const { stdout, stderr } = await runNode(text)
  t.deepEqual([stderr, stdout], ['', `${path.basename(folder)} 0 false\n`])
  t.true(isAlive(await daemonPid()))
})

test('a daemon needs no working directory of the instance', async (t) => {
  const { create, folder } = await makeHome(t)
  await t.notThrowsAsync(create({ cwd: path.join(folder, 'gone') }).connect())
})

test('connect(true) again and again keeps one lifeline', async (t) => {
  const { script } = await makeHome(t)
  const { code, stdout, stderr } = await script(`
    const fs = require('node:fs')
    const pipes = () => fs.readdirSync('/proc/self/fd').filter((fd) => {
      try { return fs.readlinkSync('/proc/self/fd/' + fd).startsWith('pipe:') } catch { return false }
    }).length
    ;(async () => {
      await pm2.ping().then(() => pm2.killDaemon())
      const before = pipes()
      const seen = []
      for (let round = 0; round < 4; round += 1) {
        await pm2.connect(true)
        await pm2.disconnect()
        await pm2.list()
        seen.push(pipes() - before)
        if (round % 2 === 0) await pm2.killDaemon()
        else process.kill(Number(fs.readFileSync(pm2.pm2_home + '/pm2.pid', 'utf8')), 'SIGKILL')
        while (await pm2.Client.pingDaemon()) await new Promise((resolve) => setTimeout(resolve, 10))
      }
      await pm2.connect()
      seen.push(pipes() - before)
      await pm2.killDaemon()
      console.log(seen.join())
    })()`)
  t.deepEqual([code, stderr, stdout], [0, '', '1,1,1,1,0\n'])
})
