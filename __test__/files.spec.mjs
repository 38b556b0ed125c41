// What configuration files make happen: apps that are started, restarted and served from them.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import test from 'ava'
import { fixture, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

/** The environment of a process as the kernel has it. */
async function environ(pid) {
  const text = await waitFor(() => readFile(`/proc/${pid}/environ`, 'utf8'))
  return Object.fromEntries(text.split('\0').filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]))
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

function get(port, where, auth) {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: where, auth, agent: false }, async (response) => {
      let body = ''
      for await (const chunk of response) body += chunk
      resolve({ status: response.statusCode, body })
    }).on('error', reject)
  })
}

test('a file that is started again makes the declared variables its own, in every instance', async (t) => {
  const { folder, pm2 } = await makeHome(t)
  const file = path.join(folder, 'apps.json')
  const write = (env) => writeFile(file, JSON.stringify({ apps: [{ name: 'a', script: fixture('idle.js'), exec_mode: 'fork', instances: 2, increment_var: 'NR', env }] }))
  const seen = async () => Promise.all((await pm2.list()).map(({ pid }) => environ(pid)))
  await write({ KEPT: 'old', GONE: '1', NR: 5, OBJECT: { a: 1 } })
  await pm2.start(file)
  t.deepEqual((await seen()).map(({ KEPT, GONE, NR, OBJECT }) => [KEPT, GONE, NR, OBJECT]), [['old', '1', '5', '{"a":1}'], ['old', '1', '6', '{"a":1}']])
  await write({ KEPT: 'new', NR: 5, ADDED: true })
  await pm2.start(file)
  const expected = [['new', undefined, '5', undefined, 'true'], ['new', undefined, '6', undefined, 'true']]
  const values = async () => (await seen()).map(({ KEPT, GONE, NR, OBJECT, ADDED }) => [KEPT, GONE, NR, OBJECT, ADDED])
  t.deepEqual(await values(), expected)
  // As well in what is saved.
  await pm2.dump()
  await pm2.delete('all')
  await pm2.resurrect()
  t.deepEqual(await values(), expected)
  await write({ KEPT: 'newer', NR: 5 })
  await pm2.restart(file)
  t.deepEqual((await seen()).map(({ KEPT, ADDED, NR }) => [KEPT, ADDED, NR]), [['newer', undefined, '5'], ['newer', undefined, '6']])
})

test('`write` beside a script makes a configuration file that starts the same', async (t) => {
  const { folder, create } = await makeHome(t)
  const here = path.join(folder, 'here')
  await mkdir(here)
  const pm2 = create({ cwd: here })
  const before = process.env.PWD
  process.env.PWD = here
  try {
    const options = { name: 'team/app', write: true, autostart: false, maxMemoryRestart: '100M', env: { A: 1 }, instances: 2 }
    const [first] = await pm2.start(fixture('idle.js'), options)
    const written = path.join(here, 'team-app-pm2.json')
    t.like(JSON.parse(await readFile(written, 'utf8')), { name: 'team/app', max_memory_restart: 104857600, instances: 2, env: { A: 1 } })
    await pm2.delete('all')
    const [second] = await pm2.start(written)
    for (const key of ['name', 'exec_mode', 'max_memory_restart', 'autostart', 'pm_exec_path', 'instances', 'A']) {
      t.deepEqual(second.pm2_env[key], first.pm2_env[key], key)
    }
  } finally {
    process.env.PWD = before
  }
})

test('folders in `static` and apps with the script `serve` are served', async (t) => {
  const { folder, pm2 } = await makeHome(t)
  const [first, second] = [await freePort(), await freePort()]
  await writeFile(path.join(folder, 'index.html'), 'the page')
  const auth = { username: 'u', password: 'p' }
  const config = {
    apps: [{ name: 'second', script: 'serve', env: { PM2_SERVE_PORT: second, PM2_SERVE_HOST: '127.0.0.1', PM2_SERVE_PATH: folder } }],
    static: [{ port: first, host: '127.0.0.1', path: folder, spa: true, basic_auth: auth }]
  }
  const started = await pm2.start(config)
  t.deepEqual(started.map(({ pm2_env: { name } }) => name).sort(), ['second', `static-page-server-${first}`])
  const answer = (...request) => waitFor(() => get(...request).catch(() => undefined))
  t.deepEqual(await answer(second, '/'), { status: 200, body: 'the page' })
  t.is((await answer(second, '/nope')).status, 404)
  t.deepEqual(await answer(first, '/any/where', 'u:p'), { status: 200, body: 'the page' })
  t.is((await answer(first, '/')).status, 401)
})
