// Published programs that live on the bus and on messages, unmodified: under pm2-rs, and under npm pm2 to prove the test.

import { execFile } from 'node:child_process'
import { cp, mkdtemp, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import test from 'ava'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { endDaemon } from './helpers/home.mjs'

const run = promisify(execFile)
const clients = fileURLToPath(new URL('clients/', import.meta.url))
const npm = new URL('../node_modules/pm2', import.meta.url)
const own = new URL('..', import.meta.url)
const sides = {
  'npm pm2': { module: npm },
  'pm2-rs': { module: own },
  // Its module opens the sockets itself.
  "npm pm2's module and the daemon of pm2-rs": { module: npm, daemon: fileURLToPath(new URL('pm2-rs', own)) }
}
// They come from the registry of npm, and one of them waits ten seconds between two messages.
const full = process.env.PM2_RS_FULL ? test.serial : test.skip

const beforeAll = process.env.PM2_RS_FULL ? test.before : () => {}
beforeAll('install them', async (t) => {
  t.timeout(300_000)
  await run('npm', ['ci', '--ignore-scripts', '--no-bin-links', '--no-audit', '--no-fund'], { cwd: clients })
})

for (const [side, { module, daemon }] of Object.entries(sides)) {
  full(`log rotation, metrics, notifications, actions under ${side}`, async (t) => {
    t.timeout(150_000)
    const folder = await mkdtemp(path.join(tmpdir(), 'pm2-rs-clients-'))
    const home = path.join(folder, 'home')
    t.teardown(async () => {
      await endDaemon(home)
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    })
    const copy = path.join(folder, 'clients')
    const pm2 = await realpath(fileURLToPath(module))
    await cp(clients, copy, { recursive: true, filter: (file) => file !== path.join(clients, 'node_modules/pm2') })
    await symlink(pm2, path.join(copy, 'node_modules/pm2'))
    const env = { ...process.env, PM2_HOME: home }
    if (daemon) await run(daemon, ['ping'], { env })
    const { stdout } = await run(process.execPath, [path.join(copy, 'drive.cjs'), pm2, copy], { env, timeout: 140_000 })
    const answers = (name) => [[name, 'hello', { answer: 42 }], [name, 'echo', { got: 'text' }]]
    const reports = (name) => ({ users: 12, heap: true, answers: answers(name) })
    const { human, ...result } = JSON.parse(stdout)
    t.deepEqual(result, {
      io: reports('io'),
      pmx: reports('pmx'),
      tx2: reports('tx2'),
      counter: 1,
      exporter: 'pm2_up{name="noisy",instance="0"} 1',
      rotated: true,
      module: [true, 'pm2-logrotate', '1K'],
      slack: ['#008E00', '#D00000', 'boom']
    })
    t.deepEqual(human[0], { user: 'Alice', __name: 'user:register' })
  })
}
