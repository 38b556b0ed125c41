// The saved process list, both ways: what npm pm2 saved is restored here, what is saved here is restored by npm pm2.
import { mkdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { captures, parse, place, script } from './helpers/dumps.mjs'
import { fixture, isAlive, makeHome } from './helpers/home.mjs'
import { npmPm2 } from './helpers/npm-pm2.mjs'
import { waitFor } from './helpers/wait.mjs'

const online = 'online'
const saved = [
  ['binary', online, 'fork_mode', 0],
  ['halted', 'stopped', 'fork_mode', 0],
  ['merged', online, 'fork_mode', 0],
  ['merged', online, 'fork_mode', 1],
  ['pair', online, 'cluster_mode', 0],
  ['pair', online, 'cluster_mode', 1],
  ['shell', online, 'fork_mode', 0],
  ['web', online, 'fork_mode', 0],
  ['žluť 🐎/x', online, 'fork_mode', 0]
]

const key = ({ name, NODE_APP_INSTANCE: instance }) => `${name} ${instance}`
const byKey = (a, b) => key(a).localeCompare(key(b))

/** The `pm2_env` of all processes in a fixed order. */
const listed = async (pm2) => (await pm2.list()).map(({ pid, pm2_env: env }) => ({ pid, ...env })).sort(byKey)

/** A path with the id of its process instead of that of the one before. */
const withId = (file, id) => file.replace(/(-\d+)?(\.(log|pid))$/, `-${id}$2`)

/** What a process wrote about itself. */
async function report(env) {
  const lines = (await readFile(env.pm_out_log_path, 'utf8')).split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line.slice(line.indexOf('{')))).find(({ pid }) => pid === env.pid)
}

test('there are lists of every major version, each of them complete', (t) => {
  t.deepEqual([...new Set(captures.map((name) => Number.parseInt(name)))], [0, 1, 2, 3, 4, 5, 6, 7])
})

for (const capture of captures) {
  test.serial(`npm pm2's ${capture} is restored`, async (t) => {
    const { pm2, folder } = await makeHome(t)
    const entries = parse(place(capture, folder)).sort(byKey)
    t.is((await pm2.resurrect()).length, 9)
    const processes = await listed(pm2)
    const facts = ({ name, status, exec_mode: mode, NODE_APP_INSTANCE: instance }) => [name, status, mode, instance]
    t.deepEqual(processes.map(facts), saved)

    for (const [at, env] of processes.entries()) {
      const entry = entries[at]
      const kept = ['args', 'node_args', 'pm_exec_path', 'pm_cwd', 'exec_interpreter', 'cron_restart', 'max_memory_restart', 'env_production', 'kill_timeout', 'autorestart', 'watch', 'merge_logs', 'created_at', 'namespace', 'log_date_format', 'km_link']
      for (const name of kept) t.deepEqual(env[name], entry[name], `${key(entry)} ${name}`)
      for (const [name, value] of Object.entries(entry.env)) {
        if (name !== 'unique_id') t.deepEqual(env.env[name], value, `${key(entry)} env ${name}`)
      }
      if (env.status === 'stopped') {
        for (const name of ['restart_time', 'unstable_restarts', 'version', 'node_version', 'pm_uptime']) {
          t.deepEqual(env[name], entry[name], `${key(entry)} ${name}`)
        }
      } else {
        t.deepEqual([env.restart_time, env.unstable_restarts], [0, 0], key(entry))
      }
      for (const name of ['pm_out_log_path', 'pm_err_log_path']) {
        const stays = entry.merge_logs || env.status === 'stopped'
        t.is(env[name], stays ? entry[name] : withId(entry[name], env.pm_id), `${key(entry)} ${name}`)
      }
    }

    const running = processes.filter(({ status }) => status === online)
    t.true(running.every(({ pid }) => isAlive(pid)))
    t.is(processes[1].pid, 0)
    for (const env of running.filter(({ name }) => name !== 'binary')) {
      const said = await waitFor(() => report(env))
      t.deepEqual(said.args, env.args ?? [], key(env))
      t.is(said.env.CALLER_SEEN ?? 'of the caller', 'of the caller')
      if (env.name === 'shell') {
        t.is(said.env.SHELL_SEEN, 'in bash')
        continue
      }
      t.is(said.isWorker, env.exec_mode === 'cluster_mode', key(env))
      t.is(said.instance, String(env.NODE_APP_INSTANCE), key(env))
      if (env.name === 'web') {
        t.true(said.execArgv.includes('--max-old-space-size=200'))
        t.like(said.env, { PLAIN_SEEN: 'plain', NUMBER_SEEN: '42', EMPTY_SEEN: '', LINES_SEEN: 'a\n"b"\t\\ 🐎' })
      }
    }

    const state = async () => (await listed(pm2)).map(({ pid, pm_id: id, restart_time: n, status }) => [pid, id, n, status])
    const before = await state()
    t.deepEqual(await pm2.resurrect(), [])
    t.deepEqual(await state(), before)
  })
}

test.serial('what is restored can be saved and restored again without a loss', async (t) => {
  const { pm2, folder } = await makeHome(t)
  place('7.0.4-saved.pm2', folder)
  await pm2.resurrect()
  await pm2.dump()
  // Everything but what a start makes anew.
  const comparable = async () => {
    const entries = parse(await readFile(path.join(folder, 'dump.pm2'), 'utf8')).sort(byKey)
    return entries.map(({ pm_uptime: _, unique_id: __, env: { unique_id: ___, ...env }, ...entry }) =>
      Object.fromEntries(
        Object.entries({ ...entry, env })
          .filter(([name]) => !/^(axm_|node_version|version$)/.test(name))
          .map(([name, value]) => [name, /_path$/.test(name) ? value.replace(/-\d+(\.(log|pid))$/, '-<id>$1') : value])
      )
    )
  }
  const first = await comparable()
  t.is(first.length, 9)
  for (let round = 0; round < 2; round++) {
    await pm2.delete('all')
    await pm2.resurrect()
    await pm2.dump()
    t.deepEqual(await comparable(), first)
  }
})

// One of each kind, by our own means.
const apps = (folder) => [
  {
    name: 'web', script: script('report.js'), args: ['one', 'two words', '--x=é'], node_args: ['--max-old-space-size=200'], namespace: 'front',
    max_memory_restart: '500M', cron_restart: '0 0 1 1 *', watch: false, kill_timeout: 1234, env: { PLAIN_SEEN: 'plain', NUMBER_SEEN: 42, LINES_SEEN: 'a\n"b"\t\\ 🐎' },
    env_production: { PLAIN_SEEN: 'of production' }
  },
  { name: 'pair', script: script('serve.js'), exec_mode: 'cluster', instances: 2, env: { PAIR_SEEN: 'yes' } },
  {
    name: 'merged', script: script('report.js'), exec_mode: 'fork', instances: 2, merge_logs: true,
    out_file: path.join(folder, 'own', 'merged.log'), error_file: path.join(folder, 'own', 'merged-error.log')
  },
  { name: 'halted', script: script('report.js') },
  { name: 'never', script: fixture('idle.js'), autostart: false },
  { name: 'žluť 🐎/x', script: script('report.js'), args: 'one two' },
  { name: 'shell', script: script('loop.sh'), args: ['a', 'b'], env: { SHELL_SEEN: 'in bash' } },
  { name: 'binary', script: '/bin/sleep', interpreter: 'none', args: '100000', autorestart: false }
]

for (const how of ['dump()', 'SIGTERM']) {
  test.serial(`npm pm2 restores what was saved by ${how}`, async (t) => {
    const { pm2, env, folder, daemonPid } = await makeHome(t)
    await mkdir(path.join(folder, 'own'))
    await pm2.start(apps(folder))
    await pm2.restart('web')
    await pm2.stop('halted')
    const before = await listed(pm2)
    const daemon = await daemonPid()
    if (how === 'dump()') {
      await pm2.dump()
      await pm2.killDaemon()
    } else {
      process.kill(daemon, 'SIGTERM')
    }
    await waitFor(() => !isAlive(daemon))
    // Its npm pm2 successor shall not be the one who wrote this.
    for (const name of ['logs', 'pids']) await rm(path.join(folder, name), { recursive: true })

    t.regex((await npmPm2(env, 'resurrect')).stdout, /Process .*report\.js restored/)
    const list = JSON.parse((await npmPm2(env, 'jlist')).stdout)
    const after = list.map(({ pid, pm2_env: found }) => ({ pid, ...found })).sort(byKey)
    const kept = ['name', 'status', 'exec_mode', 'NODE_APP_INSTANCE', 'namespace', 'args', 'node_args', 'pm_exec_path', 'pm_cwd', 'exec_interpreter', 'cron_restart', 'max_memory_restart', 'kill_timeout', 'env_production', 'autorestart', 'autostart', 'watch', 'merge_logs', 'created_at', 'instance_var', 'username', 'treekill', 'vizion', 'pmx', 'automation']
    const pick = (found) => Object.fromEntries(kept.map((name) => [name, found[name]]))
    t.deepEqual(after.map(pick), before.map(pick))
    for (const [at, found] of after.entries()) {
      const { env: environment } = before[at]
      for (const [name, value] of Object.entries(environment)) {
        if (name !== 'unique_id') t.deepEqual(found.env[name], value, `${key(found)} env ${name}`)
      }
      if (found.status !== online) continue
      t.true(isAlive(found.pid), key(found))
      t.is(found.restart_time, 0)
      const { pm_out_log_path: log, merge_logs: merged } = before[at]
      t.is(found.pm_out_log_path, merged ? log : withId(log, found.pm_id), key(found))
      if (found.name === 'binary') continue
      t.deepEqual((await waitFor(() => report(found).catch(() => null))).args, found.args ?? [], key(found))
    }
    t.is((await npmPm2(env, 'kill')).code, 0)
    await waitFor(() => !after.some(({ pid }) => pid > 0 && isAlive(pid)))
  })
}
