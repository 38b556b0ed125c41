// The saved list survives a death at any moment of its writing: it is always one of the two complete lists.
// PM2_RS_FULL kills more often.
import { spawn } from 'node:child_process'
import { mkdir, readFile, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { fixture, isAlive, makeHome, module } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const full = Boolean(process.env.PM2_RS_FULL)
const nClientKills = full ? 500 : 100
const nDaemonKills = full ? 300 : 50

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const apps = (set, count) => Array.from({ length: count }, (_, n) => ({ script: fixture('idle.js'), name: `${set}-${n}`, autostart: false }))
const listed = (text) => JSON.parse(text).map(({ name }) => name).join()
const mode = async (file) => ((await stat(file)).mode & 0o777).toString(8)

// Two daemons with lists of different length save into the same file in turn. Both connections are open before the
// first save, so that from then on the process does nothing else.
const saver = `
const pm2 = require(${JSON.stringify(module)})
const clients = process.argv.slice(1).map((home) => new pm2.custom({ pm2_home: home }))
;(async () => {
  for (const client of clients) await client.connect()
  for (let n = 0; ; n++) {
    await clients[n % 2].dump()
    if (n === 1) console.log('saving')
  }
})()`

test.serial(`${nClientKills} clients killed while they save`, async (t) => {
  t.timeout(300_000)
  const homes = [await makeHome(t), await makeHome(t)]
  const folder = path.join(homes[0].folder, 'saved')
  await mkdir(folder)
  const [dump, backup] = ['dump.pm2', 'dump.pm2.bak'].map((name) => path.join(folder, name))
  const env = { ...process.env, PM2_DUMP_FILE_PATH: dump, PM2_DUMP_BACKUP_FILE_PATH: backup }
  const complete = []
  for (const [at, { pm2, script }] of homes.entries()) {
    await pm2.start(apps(at, at === 0 ? 2 : 60))
    const { code } = await script('pm2.connect(() => pm2.dump((error) => pm2.disconnect(() => process.exit(error ? 1 : 0))))', {
      env: { ...env, PM2_HOME: homes[at].folder }
    })
    t.is(code, 0)
    complete.push(await readFile(dump, 'utf8'))
  }
  t.true(complete[1].length > 20 * complete[0].length)
  t.is(listed(complete[1]), apps(1, 60).map(({ name }) => name).join())

  const seen = [0, 0]
  let nInterrupted = 0
  const round = async () => {
    const child = spawn(process.execPath, ['-e', saver, ...homes.map((home) => home.folder)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ?? code)))
    await new Promise((resolve) => child.stdout.once('data', resolve))
    await sleep(Math.random() * 30)
    child.kill('SIGKILL')
    t.is(await ended, 'SIGKILL')
    for (const file of [dump, backup]) {
      const which = complete.indexOf(await readFile(file, 'utf8'))
      t.true(which >= 0, `${file} is neither list`)
      t.is(await mode(file), '600')
      if (file === dump) seen[which]++
    }
    const names = await readdir(folder)
    if (names.length > 2) nInterrupted++
    // Whoever saved first in this round cleared up after the one before.
    t.true(names.length <= 3, names.join())
  }
  const start = performance.now()
  for (let n = 0; n < nClientKills; n++) await round()
  t.log(`${((performance.now() - start) / nClientKills).toFixed(0)} ms each; lists found: ${seen}; with a file half written: ${nInterrupted}`)
  t.true(seen.every((count) => count > 0), String(seen))
  const { code } = await homes[0].script('pm2.connect(() => pm2.dump((error) => pm2.disconnect(() => process.exit(error ? 1 : 0))))', {
    env: { ...env, PM2_HOME: homes[0].folder }
  })
  t.is(code, 0)
  t.deepEqual((await readdir(folder)).sort(), ['dump.pm2', 'dump.pm2.bak'])
  t.is(await readFile(dump, 'utf8'), complete[0])
})

test.serial(`${nDaemonKills} daemons killed while they end and save`, async (t) => {
  t.timeout(300_000)
  const { pm2, folder, daemonPid } = await makeHome(t)
  const dump = path.join(folder, 'dump.pm2')
  const seen = { old: 0, new: 0 }
  let before = ''
  for (let n = 0; n < nDaemonKills; n++) {
    const set = apps(n, n % 2 === 0 ? 3 : 60)
    await pm2.start(set)
    const wanted = set.map(({ name }) => name).join()
    const daemon = await daemonPid()
    // The next start shall not go through the connection that is about to end.
    await pm2.disconnect()
    process.kill(daemon, n % 5 === 0 ? 'SIGINT' : 'SIGTERM')
    await sleep(Math.random() * 6)
    if (isAlive(daemon)) process.kill(daemon, n % 4 === 3 ? 'SIGTERM' : 'SIGKILL')
    await waitFor(() => !isAlive(daemon))
    const text = await readFile(dump, 'utf8').catch(() => '[]')
    const found = listed(text)
    t.true(found === wanted || found === before, `round ${n}: ${JSON.stringify({ found, wanted, before })}`)
    seen[found === wanted ? 'new' : 'old']++
    if (found !== '') t.is(await mode(dump), '600')
    before = found
  }
  t.log(`lists found: ${JSON.stringify(seen)}`)
  t.true(seen.new > 0)
  await pm2.start(apps('last', 1))
  await pm2.dump()
  t.is(listed(await readFile(dump, 'utf8')), 'last-0')
  t.deepEqual((await readdir(folder)).filter((name) => /dump|tmp/.test(name)).sort(), ['dump.pm2', 'dump.pm2.bak'])
})
