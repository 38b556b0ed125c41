import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { fixture, isAlive, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const names = (processes) => processes.map(({ pm2_env: { name } }) => name).sort()

async function message(promise) {
  try {
    await promise
  } catch (error) {
    return error.errors?.map(({ message }) => message) ?? error.message
  }
  return null
}

test('start, list, describe, stop, restart, delete', async (t) => {
  const { pm2 } = await makeHome(t)
  const [started] = await pm2.start({ script: fixture('idle.js'), name: 'app' })
  t.is(started.pm2_env.status, 'online')
  t.is(started.pm2_env.pm_id, 0)
  t.true(isAlive(started.pid))

  const [listed] = await pm2.list()
  t.like(listed, { name: 'app', pm_id: 0, pid: started.pid, pm2_env: { exec_mode: 'fork_mode', restart_time: 0 } })
  t.is(typeof listed.monit.memory, 'number')
  for (const target of ['app', 0, '0']) t.is((await pm2.describe(target))[0].pid, started.pid)
  t.deepEqual(await pm2.describe('nope'), [])

  const [stopped] = await pm2.stop('app')
  t.like(stopped, { name: 'app', pm_id: 0, status: 'stopped', pm2_env: { status: 'stopped' } })
  t.false(isAlive(started.pid))
  t.like((await pm2.restart(0))[0], { status: 'online', restart_time: 0 })
  t.like((await pm2.restart('all'))[0], { status: 'online', restart_time: 1 })
  t.like((await pm2.reload('app'))[0], { name: 'app', status: 'online', restart_time: 2 })
  t.like((await pm2.delete('app'))[0], { name: 'app', pm_id: 0 })
  t.deepEqual(await pm2.list(), [])
})

test('unknown targets fail as in PM2', async (t) => {
  const { pm2 } = await makeHome(t)
  for (const method of ['stop', 'restart', 'reload', 'delete']) {
    t.is(await message(pm2[method]('nope')), 'process or namespace not found', method)
    t.is(await message(pm2[method]('all')), 'process name not found', method)
    t.is(await message(pm2[method]('/nope/')), 'process name not found', method)
    t.regex(await message(pm2[method]('nope.json')), /ENOENT/, method)
  }
  t.is(await message(pm2.stop(99)), '99 : id unknown')
  t.is(await message(pm2.restart(99)), 'God db process id unknown')
  t.is(await message(pm2.reload(99)), 'PM2 ID unknown')
  t.is(await message(pm2.delete(99)), '99 : id unknown')
})

test('many apps in one call, some of which cannot be started', async (t) => {
  const { pm2, folder } = await makeHome(t)
  const apps = [
    { script: '/nowhere/nope.js', name: 'bad' },
    { script: fixture('idle.js'), name: 'good' }
  ]
  const [error, result] = await new Promise((resolve) => pm2.start(apps, (...args) => resolve(args)))
  t.deepEqual(error.map(({ message: text }) => text), ['Script not found: /nowhere/nope.js'])
  t.deepEqual(names(result), ['good'])
  t.deepEqual(await message(pm2.start({})), ['No script path - aborting'])
  t.deepEqual(await pm2.start([]), [])
  t.is(await message(pm2.start({ script: 'x', max_restarts: 'many' })), 'Expect "max_restarts" to be a typeof [object Number], but now is [object String]')
  t.is(await message(pm2.start('nope.js')), `Script not found: ${path.resolve('nope.js')}`)

  const file = path.join(folder, 'apps.json')
  await writeFile(file, JSON.stringify({ apps: [{ ...apps[1], env_production: { A: 'yes' } }, { ...apps[1], name: 'other' }] }))
  t.deepEqual(names(await pm2.start(file, { env: 'production' })), ['good', 'other'])
  t.is((await pm2.describe('good'))[0].pm2_env.A, 'yes')
  t.deepEqual(names(await pm2.stop(file)), ['good', 'other'])
  t.deepEqual(names(await pm2.delete(file)), ['good', 'other'])
})

test('a script that runs already is not started again by accident', async (t) => {
  const { pm2 } = await makeHome(t)
  await pm2.start(fixture('idle.js'), { name: 'a' })
  t.is(await message(pm2.start(fixture('idle.js'), { name: 'a' })), 'Script already launched')
  t.deepEqual(names(await pm2.start(fixture('idle.js'), { name: 'b' })), ['b'])
  t.deepEqual(names(await pm2.start(fixture('idle.js'), { name: 'a', force: true })), ['a'])
  t.is((await pm2.list()).length, 3)
})

test('the environment of an app', async (t) => {
  const { pm2, folder } = await makeHome(t)
  await pm2.start({
    script: fixture('print-env.js'),
    name: 'env',
    args: ['A', 'PM2_HOME', 'PM2_PROGRAMMATIC', 'PM2_JSON_PROCESSING', 'name', 'PORT'],
    port: 8123,
    env: { A: 1 }
  })
  const log = path.join(folder, 'logs', 'env-out.log')
  const text = await waitFor(() => readFile(log, 'utf8').catch(() => ''))
  t.deepEqual(JSON.parse(text), ['1', folder, 'true', 'true', 'env', '8123'])
})

test('cluster mode, scale and reload', async (t) => {
  const { pm2 } = await makeHome(t)
  await pm2.start({ script: fixture('serve.js'), name: 'web', instances: 2, env: { PORT: '0' } })
  const before = await pm2.list()
  t.deepEqual(before.map(({ pm2_env: env }) => [env.exec_mode, env.NODE_APP_INSTANCE]), [['cluster_mode', 0], ['cluster_mode', 1]])
  t.deepEqual(await pm2.scale('web', 3), { success: true })
  t.is((await pm2.list()).length, 3)
  t.is(await message(pm2.scale('web', 3)), 'Same process number')
  t.deepEqual(await pm2.scale('web', '-1'), { success: true })
  const scaled = await pm2.list()
  t.deepEqual(scaled.map(({ pm_id: id }) => id), [1, 2])

  const reloaded = await pm2.reload('web')
  t.deepEqual(names(reloaded), ['web', 'web'])
  const after = await pm2.list()
  t.deepEqual(after.map(({ pm_id: id }) => id), [1, 2])
  for (const index of [0, 1]) t.not(after[index].pid, scaled[index].pid)
  t.is((await pm2.gracefulReload('web')).length, 2)
})

test('an app that cannot run ends as errored', async (t) => {
  const { pm2 } = await makeHome(t)
  await pm2.start({ script: fixture('exit-3.js'), name: 'crash', max_restarts: 2 })
  const env = await waitFor(async () => {
    const [{ pm2_env: found }] = await pm2.describe('crash')
    return found.status === 'errored' && found
  })
  t.is(env.exit_code, 3)
  t.deepEqual(await pm2.reset('crash'), { success: true })
  t.is((await pm2.describe('crash'))[0].pm2_env.restart_time, 0)
  t.is(await message(pm2.reset('nope')), 'Unknown process name')
  t.deepEqual(await pm2.reset(99), { success: true })
})

test('dump and resurrect', async (t) => {
  const { pm2, folder } = await makeHome(t)
  t.is(await message(pm2.dump()), 'Process list empty, cannot save empty list')
  await pm2.start([
    { script: fixture('idle.js'), name: 'runs' },
    { script: fixture('idle.js'), name: 'stands', autostart: false }
  ])
  t.deepEqual(await pm2.dump(), { success: true })
  const dumped = JSON.parse(await readFile(path.join(folder, 'dump.pm2'), 'utf8'))
  t.deepEqual(dumped.map(({ name }) => name).sort(), ['runs', 'stands'])
  await pm2.killDaemon()
  await pm2.resurrect()
  const states = (await pm2.list()).map(({ name, pm2_env: { status } }) => `${name} ${status}`)
  t.deepEqual(states.sort(), ['runs online', 'stands stopped'])
  await new Promise((resolve, reject) => pm2.clearDump((...args) => (args.length === 0 ? resolve() : reject(args[0]))))
  t.deepEqual(JSON.parse(await readFile(path.join(folder, 'dump.pm2'), 'utf8')), [])
})

test('pids and ids by name', async (t) => {
  const { pm2 } = await makeHome(t)
  const [a] = await pm2.start(fixture('idle.js'), { name: 'a' })
  const [b] = await pm2.start(fixture('idle.js'), { name: 'b' })
  t.deepEqual(await pm2.getPID('b'), [b.pid])
  t.deepEqual(await pm2.getPID(), [a.pid, b.pid])
  t.deepEqual(await pm2.getPID('nope'), [])
  t.deepEqual(await pm2.getProcessIdByName('b'), [1])
  t.deepEqual(await pm2.getProcessIdByName('nope'), [])
  t.deepEqual(await pm2.Client.getAllProcessId(), [0, 1])
  const found = await new Promise((resolve) => pm2.Client.getProcessIdByName('a', (...args) => resolve(args)))
  t.deepEqual([found[0], found[1], Object.keys(found[2])], [null, [0], ['0']])
  t.deepEqual(await pm2.Client.executeRemote('ping', {}), { msg: 'pong' })
  t.is(await message(pm2.Client.executeRemote('nope', {})), 'method "nope" does not exist')
})

test('numeric text is an id only as it is shown', async (t) => {
  const { pm2 } = await makeHome(t)
  await pm2.start(fixture('idle.js'), { name: 'a' })
  for (const text of ['', ' ', ' 0', '0 ', '+0', '-0', '00', '0x0']) {
    t.is(await message(pm2.stop(text)), `${text} : id unknown`)
    t.is(await message(pm2.delete(text)), `${text} : id unknown`)
    t.is(await message(pm2.restart(text)), 'God db process id unknown')
    t.deepEqual(await pm2.describe(text), [])
  }
  t.like((await pm2.list())[0].pm2_env, { status: 'online', restart_time: 0 })
})

test('a dash is a JSON list of apps on the standard input', async (t) => {
  const { pm2, script } = await makeHome(t)
  const [, other] = await pm2.start([
    { script: fixture('idle.js'), name: 'a' },
    { script: fixture('idle.js'), name: 'b' }
  ])
  t.is(other.pm2_env.name, 'b')
  const input = JSON.stringify([{ name: 'a', script: 'x.js' }, { name: 'nope', script: 'x.js' }])
  const run = async (method) => {
    const text = `pm2.${method}('-', (error, found) => {
      console.log(error?.message ?? JSON.stringify(found.map(({ pm_id, pm2_env, monit }) => [pm_id, pm2_env.status, pm2_env.name])))
      pm2.disconnect()
    })`
    return (await script(text, { input })).stdout.trim()
  }
  t.is(await run('restart'), '[[0,"online","a"]]')
  t.is(await run('stop'), '[[0,"stopped","a"]]')
  t.is(await run('delete'), '[[0,"stopped","a"]]')
  t.deepEqual(names(await pm2.list()), ['b'])
  const { stdout } = await script(`pm2.stop('-', (error) => { console.log(error.name); pm2.disconnect() })`, { input: 'no JSON' })
  t.is(stdout, 'SyntaxError\n')
})

test('a request beyond all bounds is an error of its own', async (t) => {
  const { pm2 } = await makeHome(t)
  await pm2.connect()
  const waiting = pm2.start({ script: fixture('idle.js'), name: 'a' })
  const data = 'x'.repeat(65 * 1024 * 1024)
  await t.throwsAsync(pm2.sendDataToProcessId({ id: 0, topic: 't', data }), { code: 'PM2_REQUEST_TOO_LARGE' })
  t.deepEqual(names(await waiting), ['a'])
  t.false((await pm2.connect()).new_pm2_instance)
})
