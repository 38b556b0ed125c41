// The command line of npm pm2 drives our daemon in cluster mode: every command by exit code, process list and traffic.
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { freePort } from './cluster/clients.mjs'
import { isAlive, makeHome } from './helpers/home.mjs'
import { ask, startLoad } from './helpers/load.mjs'
import { npmPm2 } from './helpers/npm-pm2.mjs'
import { waitFor } from './helpers/wait.mjs'

const server = `require('node:http').createServer(({ url }, response) =>
  response.end(JSON.stringify({ pid: process.pid, url, version: process.env.VERSION }))
).listen(Number(process.env.PORT), '127.0.0.1')\n`

/** A home with our daemon and `app.js`, a server on a port. */
async function makeServer(t) {
  const home = await makeHome(t)
  const { pm2, folder, daemonPid } = home
  const port = await freePort()
  const env = { ...home.env, PORT: String(port) }
  await pm2.connect()
  const daemon = await daemonPid()

  /** Runs a command that must succeed. @returns what it prints */
  async function ok(...args) {
    const { code, stdout, stderr } = await npmPm2(env, ...args)
    t.deepEqual([code, stderr], [0, ''], args.join(' '))
    t.notRegex(stdout, /out-of-date|Spawning PM2 daemon/, args.join(' '))
    t.is(await daemonPid(), daemon)
    return stdout
  }

  /** The processes as npm pm2 sees them: all workers, with this status. @returns their pids */
  async function workers(count, status = 'online') {
    const list = JSON.parse(await ok('jlist'))
    const states = list.map(({ name, pm2_env: { exec_mode, status } }) => [name, exec_mode, status])
    t.deepEqual(states, Array(count).fill(['app', 'cluster_mode', status]))
    return list.map(({ pid }) => pid)
  }

  const script = path.join(folder, 'app.js')
  await writeFile(script, server)
  const isUp = () => waitFor(() => ask(port).catch(() => false))
  return { folder, env, script, port, ok, workers, isUp }
}

test.serial('start -i, reload, scale, stop, delete', async (t) => {
  const { script, port, ok, workers, isUp } = await makeServer(t)
  await ok('start', script, '--name', 'app', '-i', '4')
  await isUp()
  const first = await workers(4)
  t.is(new Set(first).size, 4)
  const load = startLoad(t, port)
  await load.servedBy(first)

  t.regex(await ok('reload', 'app'), /\[app\]\(3\) ✓/)
  const second = await workers(4)
  t.is(new Set([...first, ...second]).size, 8)
  t.false(first.some(isAlive))
  await load.servedBy(second)

  await ok('scale', 'app', '+2')
  const six = await workers(6)
  t.deepEqual(six.slice(0, 4), second)
  await load.servedBy(six)
  t.deepEqual(await load.end(), [])

  await ok('scale', 'app', '2')
  const two = await workers(2)
  t.deepEqual(two, six.slice(4))
  t.false(six.slice(0, 4).some(isAlive))
  const fewer = startLoad(t, port)
  await fewer.servedBy(two)
  t.deepEqual(await fewer.end(), [])

  await ok('stop', 'app')
  t.deepEqual(await workers(2, 'stopped'), [0, 0])
  t.false(two.some(isAlive))
  await t.throwsAsync(ask(port), { code: 'ECONNREFUSED' })
  await ok('start', 'app')
  await isUp()
  const again = await workers(2)
  t.true(again.includes((await ask(port)).pid))

  await ok('delete', 'app')
  await workers(0)
  t.false(again.some(isAlive))
  await t.throwsAsync(ask(port), { code: 'ECONNREFUSED' })
})

test.serial('startOrReload of a file', async (t) => {
  const { folder, script, port, ok, workers, isUp } = await makeServer(t)
  const file = path.join(folder, 'ecosystem.config.js')
  const write = (version) => {
    const app = { name: 'app', script, exec_mode: 'cluster', instances: 3, env: { PORT: port, VERSION: version } }
    return writeFile(file, `module.exports = ${JSON.stringify({ apps: [app] })}\n`)
  }
  await write('one')
  await ok('startOrReload', file)
  await isUp()
  const first = await workers(3)
  t.is((await ask(port)).version, 'one')
  const load = startLoad(t, port)
  await load.servedBy(first)

  await write('two')
  await ok('startOrReload', file)
  const second = await workers(3)
  t.is(new Set([...first, ...second]).size, 6)
  t.false(first.some(isAlive))
  await load.servedBy(second)
  t.deepEqual(await load.end(), [])
  for (let n = 0; n < 6; n += 1) t.is((await ask(port)).version, 'two')
  await ok('delete', file)
  await workers(0)
})

test.serial('a reload to a version that fails', async (t) => {
  const { env, script, port, ok, workers, isUp } = await makeServer(t)
  await ok('start', script, '--name', 'app', '-i', '2')
  await isUp()
  const before = await workers(2)
  const load = startLoad(t, port)
  await load.servedBy(before)
  await writeFile(script, 'throw new Error("bad")\n')
  const { code, stderr } = await npmPm2(env, 'reload', 'app')
  t.is(code, 1)
  t.regex(stderr, /Reload aborted: the new process exited with code 1/)
  t.deepEqual(await workers(2), before)
  await load.servedBy(before)

  // Nothing is left of the attempt.
  await writeFile(script, server)
  await ok('reload', 'app')
  await load.servedBy(await workers(2))
  t.deepEqual(await load.end(), [])
})
