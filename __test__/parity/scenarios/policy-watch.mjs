// watch: what restarts an app, what is ignored, what a stop changes.
import fs from 'node:fs'
import net from 'node:net'
import { frame } from '../../helpers/frames.mjs'
import { rest, sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const file = (app, name) => t.cwd(app, name)
  const restarts = async (app) => (await t.proc(app)).pm2_env.restart_time
  /** Until the app has not been restarted for a while. */
  const calm = async (app) => {
    let before = -1
    for (let now = await restarts(app); now !== before; now = await restarts(app)) {
      before = now
      await t.sleep(400)
    }
    return before
  }
  const watched = async (app, options) => {
    fs.mkdirSync(t.cwd(app, 'sub'), { recursive: true })
    for (const name of ['old', 'gone', 'sub/old']) fs.writeFileSync(file(app, name), '')
    await t.quiet.start(sleeper(app, { cwd: app, watch: true, ...options }))
  }
  /** A watcher says nothing when it begins: it has when a change is followed by a restart. */
  const begun = async (app, name = 'old') => {
    await t.until(`${app} is watched`, async () => {
      fs.writeFileSync(file(app, name), String(Math.random()))
      await t.sleep(100)
      return await restarts(app) > 0
    })
    await calm(app)
    await t.quiet.reset(app)
  }
  const effect = async (name, app, change) => {
    await change()
    t.record(name, await calm(app))
    await t.quiet.reset(app)
  }

  await watched('whole')
  await watched('some', { watch: ['sub', 'named'] })
  await watched('but', { ignore_watch: ['ignored', 'sub'] })
  for (const app of ['whole', 'but']) await begun(app)
  await begun('some', 'sub/old')
  await effect('a file is changed', 'whole', () => fs.writeFileSync(file('whole', 'old'), 'x'))
  await effect('a file is made', 'whole', () => fs.writeFileSync(file('whole', 'new'), 'x'))
  await effect('a file is removed', 'whole', () => fs.rmSync(file('whole', 'gone')))
  await effect('a file below is changed', 'whole', () => fs.writeFileSync(file('whole', 'sub/old'), 'x'))
  await effect('a hidden file', 'whole', () => fs.writeFileSync(file('whole', '.hidden'), 'x'))
  await effect('a module', 'whole', () => {
    fs.mkdirSync(file('whole', 'node_modules'))
    fs.writeFileSync(file('whole', 'node_modules/x'), 'x')
  })
  await effect('an empty folder is made', 'whole', () => fs.mkdirSync(file('whole', 'folder')))
  await effect('a file out of the list', 'some', () => fs.writeFileSync(file('some', 'old'), 'x'))
  await effect('a file of the list', 'some', () => fs.writeFileSync(file('some', 'sub/old'), 'x'))
  await effect('an ignored file', 'but', () => fs.writeFileSync(file('but', 'ignored'), 'x'))
  await effect('a file in an ignored folder', 'but', () => fs.writeFileSync(file('but', 'sub/old'), 'x'))
  await effect('a hidden file when the default is replaced', 'but', () => fs.writeFileSync(file('but', '.hidden'), 'x'))
  t.record('watch in the list', (await t.all()).map(({ name, pm2_env: env }) => ({ name, watch: env.watch, ignore: env.ignore_watch })))
  t.record('after restarts', rest(await t.proc('whole')))
  t.record('log', (t.read('pm2.log') ?? '').split('\n').filter((line) => line.includes('Change detected')).map((line) => line.replace(/^\S+ PM2 log: /, '')).filter((line, n, all) => all.indexOf(line) === n).sort())

  // A stop through the module says stopWatch first.
  await t.quiet.stop('but')
  fs.writeFileSync(file('but', 'old'), 'after the stop')
  await calm('but')
  t.record('stopped, then changed', [rest(await t.proc('but')).status, (await t.proc('but')).pm2_env.watch])
  await t.quiet.reset('whole')
  await rpc(t, 'stopWatch', 'stopProcessId', (await t.proc('whole')).pm_id)
  t.record('watch after stopWatch', (await t.proc('whole')).pm2_env.watch)
  await effect('a change after stopWatch', 'whole', () => fs.writeFileSync(file('whole', 'old'), 'unwatched'))
  // Without it the watcher stays, and a change starts what was stopped.
  await rpc(t, 'stopProcessId', (await t.proc('some')).pm_id)
  t.record('stopped alone', rest(await t.proc('some')).status)
  fs.writeFileSync(file('some', 'sub/old'), 'after the stop')
  await t.online('some')
  t.record('stopped alone, then changed', [rest(await t.proc('some')).status, (await t.proc('some')).pm2_env.watch])
}

/** A call as the command line sends it; the module has no method for these. */
function rpc(t, method, ...args) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(t.home('rpc.sock')).on('error', reject)
    socket.write(frame(`j:${JSON.stringify({ type: 'call', method, args })}`, 's:1'))
    socket.once('data', () => resolve(socket.destroy()))
  })
}
