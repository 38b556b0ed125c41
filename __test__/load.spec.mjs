// Many at once. PM2_RS_FULL repeats what must hold every time.
import test from 'ava'
import { fixture, isAlive, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const rounds = process.env.PM2_RS_FULL ? 20 : 2

for (let round = 1; round <= rounds; round++) {
  test.serial(`50 processes that connect at the same moment get one daemon, round ${round}`, async (t) => {
    t.timeout(120_000)
    const { script, daemonPid } = await makeHome(t)
    const text = 'pm2.connect((error, meta) => { console.log(error ? error.message : meta.new_pm2_instance); pm2.disconnect() })'
    const runs = await Promise.all(Array.from({ length: 50 }, () => script(text)))
    t.deepEqual(runs.map(({ stdout }) => stdout.trim()).sort(), [...Array(49).fill('false'), 'true'])
    t.true(isAlive(await daemonPid()))
  })
}

test.serial('200 lists at once', async (t) => {
  const { pm2 } = await makeHome(t)
  await pm2.start(fixture('idle.js'))
  const lists = await Promise.all(Array.from({ length: 200 }, () => pm2.list()))
  t.deepEqual(new Set(lists.map((list) => list.map(({ name }) => name).join())), new Set(['idle']))
})

test.serial('100 apps start, are listed, stop and are deleted through one script', async (t) => {
  const { script } = await makeHome(t)
  const { code, stdout, stderr } = await script(`
    const apps = Array.from({ length: 100 }, (_, n) => ({ name: 'sleep-' + n, script: '/bin/sleep', interpreter: 'none', args: '1000' }))
    const status = (list) => [list.length, ...new Set(list.map((app) => app.pm2_env.status))]
    pm2.connect(async (error) => {
      if (error) throw error
      const said = []
      said.push((await pm2.start(apps)).length, status(await pm2.list()))
      said.push((await pm2.stop('all')).length, status(await pm2.list()))
      said.push((await pm2.delete('all')).length, (await pm2.list()).length)
      console.log(JSON.stringify(said))
      pm2.disconnect()
    })`)
  t.deepEqual([code, stderr], [0, ''])
  t.deepEqual(JSON.parse(stdout), [100, [100, 'online'], 100, [100, 'stopped'], 100, 0])
})

test.serial('a daemon killed under 20 calls: every callback fires once, with an error, and connect works again', async (t) => {
  const { script, daemonPid, pm2 } = await makeHome(t)
  await pm2.start({
    script: fixture('ignore-sigint.js'),
    name: 'stubborn',
    kill_timeout: 20_000,
    wait_ready: true,
    listen_timeout: 20_000,
    instances: 20,
    exec_mode: 'fork'
  })
  const daemon = await daemonPid()
  const running = script(`
    pm2.connect((error) => {
      if (error) throw error
      const calls = new Map()
      let killed
      for (let id = 0; id < 20; id++) {
        pm2.stop(id, (error) => {
          const { n = 0 } = calls.get(id) ?? {}
          calls.set(id, { n: n + 1, code: error && error.code, after: Date.now() - killed })
        })
      }
      const stopping = setInterval(() => pm2.list((error, list) => {
        if (error || killed || list.some((app) => app.pm2_env.status !== 'stopping')) return
        clearInterval(stopping)
        killed = Date.now()
        process.kill(${daemon}, 'SIGKILL')
        setTimeout(() => {
          console.log(JSON.stringify([...calls.values()]))
          pm2.connect((error, meta) => {
            console.log(error ? error.message : meta.new_pm2_instance)
            pm2.disconnect()
          })
        }, 2500)
      }), 20)
    })`)
  const { stdout, stderr, code } = await running
  t.deepEqual([code, stderr], [0, ''])
  const [first, second] = stdout.trim().split('\n')
  const calls = JSON.parse(first)
  t.is(calls.length, 20)
  for (const { n, code, after } of calls) {
    t.deepEqual([n, code], [1, 'PM2_CONNECTION_LOST'])
    t.true(after < 2000, `${after} ms`)
  }
  t.is(second, 'true')
})

test.serial('a script that dies by SIGKILL takes its no-daemon engine and its apps along', async (t) => {
  const { script, daemonPid } = await makeHome(t)
  const running = script(`
    pm2.connect(true, async (error) => {
      if (error) throw error
      const [app] = await pm2.start(${JSON.stringify(fixture('idle.js'))})
      require('node:fs').writeSync(1, String(app.pid))
      process.kill(process.pid, 'SIGKILL')
    })`)
  const daemon = await waitFor(daemonPid)
  const { stdout, signal } = await running
  t.is(signal, 'SIGKILL')
  await waitFor(() => !isAlive(daemon) && !isAlive(Number(stdout)))
  t.pass()
})
