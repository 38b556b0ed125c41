// The two packages as a user gets them: packed, installed into an empty folder, no cargo in PATH.
import test from 'ava'
import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { isAlive } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))

// As in the PM2 API documentation.
const sample = `
var pm2 = require('pm2-rs');

pm2.connect(function(err) {
  if (err) {
    console.error(err);
    process.exit(2);
  }

  pm2.start({
    script    : 'app.js',         // Script to be run
    exec_mode : 'cluster',        // Allows your app to be clustered
    instances : 4,                // Optional: Scales your app by 4
    max_memory_restart : '100M'   // Optional: Restarts your app if it reaches 100Mo
  }, function(err, apps) {
    pm2.disconnect();   // Disconnects from PM2
    if (err) throw err
  });
});
`

test('the first sample of the documentation runs from the tarballs alone', async (t) => {
  t.timeout(180_000)
  const folder = await mkdtemp(path.join(tmpdir(), 'pm2-rs-package-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const tarballs = path.join(folder, 'tarballs')
  const project = path.join(folder, 'project')
  await mkdir(tarballs)
  await mkdir(project)

  const platform = await filledPlatformPackage()
  for (const source of [root, platform]) {
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', tarballs], { cwd: source })
  }
  const files = (await readdir(tarballs)).map((name) => path.join(tarballs, name))
  t.is(files.length, 2)

  await writeFile(path.join(project, 'package.json'), '{"private":true}')
  await writeFile(path.join(project, 'sample.js'), sample)
  await writeFile(
    path.join(project, 'app.js'),
    `require('http').createServer((request, response) => response.end('hello')).listen(process.env.PORT, '127.0.0.1')`
  )
  const home = path.join(folder, 'home')
  const env = { ...process.env, PM2_HOME: home, PORT: String(await freePort()), PATH: await pathWithoutCargo() }
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', ...files], { cwd: project, env })
  const installed = (await readdir(path.join(project, 'node_modules'))).filter((name) => !name.startsWith('.'))
  t.deepEqual(installed.sort(), ['pm2-rs', await nameOf(platform)].sort())

  t.teardown(() => run(path.join(project, 'node_modules/.bin/pm2-rs'), ['kill'], { env }))
  const { stderr } = await run(process.execPath, ['sample.js'], { cwd: project, env })
  t.is(stderr, '')
  const answer = () => fetch(`http://127.0.0.1:${env.PORT}/`).then((response) => response.text(), () => null)
  t.is(await waitFor(answer), 'hello')

  const launcher = path.join(project, 'node_modules/.bin/pm2-rs')
  const list = JSON.parse((await run(launcher, ['jlist'], { env })).stdout)
  t.deepEqual(list.map(({ name, pm2_env }) => [name, pm2_env.exec_mode, pm2_env.status]), Array(4).fill(['app', 'cluster_mode', 'online']))
  const daemon = Number(await readFile(path.join(home, 'pm2.pid'), 'utf8'))
  await run(launcher, ['kill'], { env })
  await waitFor(() => !isAlive(daemon))
})

/** The folder under npm/ that the build has filled for this machine. */
async function filledPlatformPackage() {
  const folders = await readdir(path.join(root, 'npm'))
  for (const folder of folders.map((name) => path.join(root, 'npm', name))) {
    const filled = await access(path.join(folder, 'pm2-rs')).then(() => true, () => false)
    if (filled) return folder
  }
  throw new Error('no platform package is filled; run: npm run build')
}

async function nameOf(folder) {
  return JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')).name
}

async function pathWithoutCargo() {
  const folders = process.env.PATH.split(':')
  const has = (folder) => access(path.join(folder, 'cargo')).then(() => true, () => false)
  const found = await Promise.all(folders.map(has))
  return [path.dirname(process.execPath), ...folders.filter((_, index) => !found[index])].join(':')
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}
