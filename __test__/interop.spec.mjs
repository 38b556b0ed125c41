// Both ways over PM2's own wire: npm pm2 as client of our daemon, our module as client of its daemon.
import test from 'ava'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { fixture, isAlive, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const npmPm2 = fileURLToPath(new URL('../node_modules/.bin/pm2', import.meta.url))
const npmModule = fileURLToPath(new URL('../node_modules/pm2', import.meta.url))

/** Runs npm pm2's command line in a home; `PM2_DISCRETE_MODE` keeps its first-run banner away. */
function run(env, ...args) {
  return new Promise((resolve) => {
    const options = { env: { ...env, PM2_DISCRETE_MODE: 'true', NO_COLOR: '1' }, timeout: 30_000, maxBuffer: 1 << 26 }
    execFile(npmPm2, args, options, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code ?? error.signal) : 0, stdout, stderr })
    )
  })
}

test('the command line of npm pm2 drives our daemon', async (t) => {
  const { pm2, env, daemonPid } = await makeHome(t)
  await pm2.connect()
  const daemon = await daemonPid()
  const list = async () => JSON.parse((await run(env, 'jlist')).stdout)
  const ok = async (...args) => {
    const { code, stdout, stderr } = await run(env, ...args)
    t.deepEqual([code, stderr], [0, ''], args.join(' '))
    t.notRegex(stdout, /out-of-date|Spawning PM2 daemon/, args.join(' '))
    return stdout
  }

  await ok('start', fixture('idle.js'), '--name', 'web', '--', 'one', 'two')
  await ok('start', '/bin/sleep', '--name', 'sleep', '--interpreter', 'none', '--', '1000')
  t.deepEqual((await list()).map(({ name, pm2_env }) => [name, pm2_env.status]), [['web', 'online'], ['sleep', 'online']])
  t.deepEqual((await pm2.list()).map(({ name }) => name), ['web', 'sleep'])
  t.deepEqual((await list())[0].pm2_env.args, ['one', 'two'])

  t.regex(await ok('list'), /web.*online/)
  t.regex(await ok('describe', 'web'), /script path\s.*idle\.js/)
  t.regex(await ok('ping'), /pong/)
  t.is((await ok('pid', 'web')).trim(), String((await list())[0].pid))

  const before = (await list())[0].pid
  await ok('restart', 'web')
  const [web] = await list()
  t.not(web.pid, before)
  t.is(web.pm2_env.restart_time, 1)
  await ok('reload', 'web')
  t.is((await list())[0].pm2_env.restart_time, 2)
  await ok('restart', '0')
  await ok('reset', 'web')
  t.is((await list())[0].pm2_env.restart_time, 0)

  await ok('stop', 'web')
  t.deepEqual((({ pid, pm2_env }) => [pid, pm2_env.status])((await list())[0]), [0, 'stopped'])
  await ok('start', 'web')
  t.is((await list())[0].pm2_env.status, 'online')
  await ok('sendSignal', 'SIGUSR2', 'sleep')
  await ok('flush')
  await ok('reloadLogs')
  await ok('save')

  const unknown = await run(env, 'stop', 'nope')
  t.is(unknown.code, 1)
  t.regex(unknown.stderr, /Process or Namespace nope not found/)

  await ok('delete', 'sleep')
  t.deepEqual((await list()).map(({ name }) => name), ['web'])
  await ok('delete', 'all')
  await ok('resurrect')
  t.deepEqual((await list()).map(({ name }) => name).sort(), ['sleep', 'web'])
  const apps = (await list()).map(({ pid }) => pid)

  t.is(await daemonPid(), daemon)
  await ok('kill')
  await waitFor(() => !isAlive(daemon))
  t.deepEqual(apps.filter(isAlive), [])
})

test('the module of npm pm2 drives our daemon', async (t) => {
  const { pm2, env } = await makeHome(t)
  await pm2.connect()
  const text = `
    const pm2 = require(${JSON.stringify(npmModule)})
    const { promisify } = require('node:util')
    const call = (method, ...args) => promisify(pm2[method].bind(pm2))(...args)
    ;(async () => {
      const said = []
      said.push((await call('connect')).new_pm2_instance)
      const [started] = await call('start', { script: ${JSON.stringify(fixture('idle.js'))}, name: 'app', instances: 2, exec_mode: 'fork' })
      said.push(started.pm2_env.status)
      said.push((await call('list')).map((app) => app.pm_id))
      said.push((await call('restart', 'app')).map((app) => app.restart_time))
      said.push((await call('describe', 'app')).length)
      said.push((await call('stop', 0)).map((app) => app.status))
      said.push(await call('stop', 'nope').catch((error) => error.message))
      said.push((await call('delete', 'all')).length)
      said.push(await call('getVersion'))
      pm2.disconnect(() => console.log(JSON.stringify(said)))
    })()`
  const { stdout, stderr } = await new Promise((resolve) =>
    execFile(process.execPath, ['-e', text], { env, timeout: 30_000 }, (error, stdout, stderr) => resolve({ stdout, stderr }))
  )
  t.is(stderr, '')
  t.deepEqual(JSON.parse(stdout), [
    false, 'online', [0, 1], [1, 1], 2, ['stopped'], 'process or namespace not found', 2, '7.0.4'
  ])
})

test('our module drives the daemon of npm pm2', async (t) => {
  const { pm2, env, daemonPid, folder } = await makeHome(t)
  t.is((await run(env, 'ping')).code, 0)
  const daemon = await daemonPid()
  t.is((await pm2.connect()).new_pm2_instance, false)

  const [started] = await pm2.start({ script: fixture('idle.js'), name: 'app' })
  t.is(started.pm2_env.status, 'online')
  t.deepEqual((await pm2.start('/bin/sleep', { name: 'sleep', interpreter: 'none', args: ['1000'] })).length, 1)
  const [app, sleep] = await pm2.list()
  t.deepEqual([app.name, sleep.name, sleep.pm2_env.args], ['app', 'sleep', ['1000']])
  t.is((await pm2.describe('app'))[0].pm_id, 0)
  t.is((await pm2.restart('app'))[0].restart_time, 1)
  t.is((await pm2.stop('app'))[0].status, 'stopped')
  t.is((await pm2.restart(0))[0].status, 'online')
  await t.throwsAsync(pm2.stop('nope'), { message: 'process or namespace not found' })
  await t.throwsAsync(pm2.start(path.join(folder, 'nope.js')), { message: /^Script not found: / })
  t.deepEqual(await pm2.dump(), { success: true })
  t.deepEqual((await pm2.delete('all')).map(({ name }) => name).sort(), ['app', 'sleep'])
  t.deepEqual(await pm2.list(), [])
  t.is(await daemonPid(), daemon)
  t.deepEqual(await pm2.killDaemon(), { success: true })
  await waitFor(() => !isAlive(daemon))
})
