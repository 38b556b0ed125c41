// The static file server, run as the daemon runs it: `node serve.cjs` and an environment.
import test from 'ava'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, realpath, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { fixture, makeHome, runNode } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const serverFile = fileURLToPath(new URL('../lib/serve.cjs', import.meta.url))
const npmModule = fileURLToPath(new URL('../node_modules/pm2', import.meta.url))
const cors = { 'access-control-allow-origin': '*', 'access-control-allow-methods': 'GET' }

/** A copy of the fixture site in a folder of its own, beside a file that must never be served. */
async function makeSite(t) {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'pm2-rs-site-')))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const site = path.join(folder, 'site')
  await cp(fixture('site'), site, { recursive: true })
  await mkdir(path.join(folder, 'site-private'))
  await writeFile(path.join(folder, 'site-private', 'secret.txt'), 'secret')
  return site
}

/** Starts the server with `PM2_SERVE_<key>` for each key. @returns its process, with `output` and `ended` */
function launch(t, settings, { cwd, args = [] } = {}) {
  const env = { PATH: process.env.PATH }
  for (const [key, value] of Object.entries(settings)) env[`PM2_SERVE_${key}`] = String(value)
  const child = spawn(process.execPath, [serverFile, ...args], { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  child.output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (data) => (child.output[name] += data))
  child.ended = once(child, 'close')
  return child
}

/** Starts the server for a site on a port that is free. @returns `{child, port, ask}` */
async function serve(t, site, settings = {}) {
  const child = launch(t, { PATH: site, PORT: 0, HOST: '127.0.0.1', ...settings })
  const [, port] = await waitFor(() => /^Exposing .* directory on .*:(\d+)\n$/.exec(child.output.stdout))
  return { child, port, ask: (target, options) => ask(port, target, options) }
}

/** Sends a target as it is, without the cleaning that `fetch` does. */
async function ask(port, target, { method = 'GET', headers = {}, body } = {}) {
  const request = http.request({ host: '127.0.0.1', port, path: target, method, headers, agent: false, timeout: 10_000 })
  request.on('timeout', () => request.destroy(new Error(`no answer to ${method} ${target}`)))
  request.end(body)
  const [response] = await once(request, 'response')
  const { statusCode: status, headers: answered } = response
  return { status, headers: answered, type: answered['content-type'], body: await text(response) }
}

function pick({ headers }) {
  return Object.fromEntries(Object.keys(cors).filter((name) => name in headers).map((name) => [name, headers[name]]))
}

/** The lines of a listing, ours or PM2's: `[link, name, size, time]`. */
function rowsOf(body) {
  const cell = '<td[^>]*>(.*?)</td>'
  const rows = body.matchAll(new RegExp(`<tr><td[^>]*><a href="([^"]*)">(.*?)</a></td>${cell}${cell}</tr>`, 'g'))
  return [...rows].map((row) => row.slice(1))
}

const basic = (words) => ({ headers: { authorization: `Basic ${Buffer.from(words).toString('base64')}` } })

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

test('says what it serves and where; the environment goes before the arguments', async (t) => {
  const site = await makeSite(t)
  const [one, two] = [await freePort(), await freePort()]
  const said = async (child) => {
    await waitFor(() => child.output.stdout.endsWith('\n'))
    child.kill()
    await child.ended
    return child.output.stdout
  }
  const cases = [
    [{ PATH: 'site', PORT: one, HOST: '127.0.0.1' }, { cwd: path.dirname(site) }, `127.0.0.1:${one}`],
    [{ PATH: '', PORT: two }, { cwd: site }, `0.0.0.0:${two}`],
    [{}, { args: [site, `${one}`] }, `0.0.0.0:${one}`],
    [{ PATH: site, PORT: two }, { args: ['/nowhere', '1'] }, `0.0.0.0:${two}`]
  ]
  for (const [settings, options, address] of cases) {
    t.is(await said(launch(t, settings, options)), `Exposing ${site} directory on ${address}\n`)
  }
  t.regex(await said(launch(t, { PATH: `${site}/`, PORT: 0, HOST: '::1' })), /^Exposing .*\/site directory on ::1:[1-9]\d*\n$/)
})

test('the default port is 8080', async (t) => {
  // Whether or not something else has that port, the server says which one it wanted.
  const child = launch(t, { HOST: '127.0.0.1', PORT: 'eighty' })
  await Promise.race([waitFor(() => child.output.stdout), child.ended])
  t.regex(child.output.stdout + child.output.stderr, /^(Exposing .* directory|Cannot serve .*) on 127\.0\.0\.1:8080\b/)
})

test('files, with their types and for everybody', async (t) => {
  const site = await makeSite(t)
  const empty = ['A.HTML', 'x.unknown', 'a b.txt', 'ü.txt', 'empty.css', 'x.constructor', '100%.txt']
  await Promise.all(empty.map((name) => writeFile(path.join(site, name), '')))
  const { ask, child } = await serve(t, site)
  const types = {
    '/': 'text/html',
    '/?a=1': 'text/html',
    '/index.html': 'text/html',
    '/A.HTML': 'text/html',
    '/style.css?v=2#x': 'text/css',
    '/data.json': 'application/json',
    '/assets/logo.svg': 'image/svg+xml',
    '/assets/fonts/a.woff2': 'application/font-woff',
    '/app.mjs': 'application/javascript',
    '/LICENCE': 'text/plain',
    '/.settings': 'text/plain',
    '/x.unknown': 'text/plain',
    '/x.constructor': 'text/plain',
    '/a%20b.txt': 'text/plain',
    '/%C3%BC.txt': 'text/plain',
    '/100%25.txt': 'text/plain',
    '/empty.css': 'text/css',
    '/pages/about.html': 'text/html',
    '/pages//about.html': 'text/html',
    '/pages/../style.css': 'text/css',
    '//style.css': 'text/css',
    '/\\style.css': 'text/css',
    'http://elsewhere/style.css': 'text/css',
    '/style%2ecss': 'text/css'
  }
  for (const [target, type] of Object.entries(types)) {
    const answer = await ask(target)
    t.deepEqual([answer.status, answer.type, pick(answer)], [200, type, cors], target)
  }
  const { body, headers } = await ask('/style.css', { headers: { range: 'bytes=0-1', 'if-none-match': '*' } })
  t.deepEqual([body, headers['content-length']], ['body { color: teal }\n', '21'])
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const answer = await ask('/style.css', { method, headers: { 'content-length': 3 }, body: 'x=1' })
    t.deepEqual([answer.status, answer.body], [200, body], method)
  }
  t.is(child.output.stderr, '')
})

test('HEAD has the headers and no body', async (t) => {
  const { ask } = await serve(t, await makeSite(t), { FTP: true })
  for (const target of ['/style.css', '/assets', '/missing', '/..%2fx']) {
    const [head, get] = [await ask(target, { method: 'HEAD' }), await ask(target)]
    t.deepEqual([head.status, head.type, head.body, pick(head)], [get.status, get.type, '', pick(get)], target)
  }
  t.is((await ask('/style.css', { method: 'HEAD' })).headers['content-length'], '21')
})

test('what is missing', async (t) => {
  const site = await makeSite(t)
  const { ask } = await serve(t, site)
  await symlink('nowhere', path.join(site, 'broken'))
  for (const target of ['/missing', '/missing/', '/a/b.css', '/broken', '*']) {
    const answer = await ask(target)
    t.deepEqual([answer.status, answer.type, answer.body, pick(answer)], [404, 'text/html', '404 Not Found', {}], target)
  }
  const below = await ask('/style.css/x')
  t.deepEqual([below.status, below.body], [500, 'Sorry, check with the site admin for error: ENOTDIR ..\n'])
  await mkdir(path.join(site, '404.html'))
  t.is((await ask('/missing')).body, '404 Not Found')
  await rename(path.join(site, '404.html'), path.join(site, 'folder'))
  await writeFile(path.join(site, '404.html'), '<p>gone</p>')
  const answer = await ask('/missing.css')
  t.deepEqual([answer.status, answer.type, answer.body, pick(answer)], [404, 'text/html', '<p>gone</p>', {}])
})

test('folders are an error unless they are to be shown', async (t) => {
  const { ask, child } = await serve(t, await makeSite(t), { DIRECTORY: true, FTP: 1 })
  for (const target of ['/assets', '/assets/', '/pages/']) {
    const { status, type, body } = await ask(target)
    t.deepEqual([status, type, body], [500, undefined, 'Sorry, check with the site admin for error: EISDIR ..\n'], target)
  }
  await waitFor(() => child.output.stderr.split('\n').length === 4)
  t.regex(child.output.stderr, /^(\[\d{4}-[^\]]+Z\] Error while serving \/(assets|pages)\/? : EISDIR\n){3}$/)
})

test('a folder that is shown: its index.html, or a list of what is in it', async (t) => {
  const site = await makeSite(t)
  const { ask } = await serve(t, site, { FTP: true })
  const assets = path.join(site, 'assets')
  const nasty = `<b onclick="x">&'.txt`
  await Promise.all(['.hidden', nasty, 'ü #?.txt'].map((name) => writeFile(path.join(assets, name), '')))
  for (const [name, size] of [['1023', 1023], ['1536', 1536], ['3e6', 3e6], ['2e9', 2e9]]) {
    await writeFile(path.join(assets, name), '')
    await truncate(path.join(assets, name), size)
  }
  await symlink('nowhere', path.join(assets, 'broken'))
  await symlink('../pages', path.join(assets, 'link'))
  const time = new Date('2020-02-29T23:59:58.999Z')
  await Promise.all(['fonts', 'logo.svg', '../pages'].map((name) => utimes(path.join(assets, name), time, time)))

  for (const target of ['/pages', '/pages/', '/assets/link']) t.is((await ask(target)).body, '<p>pages</p>\n', target)
  t.regex((await ask('/')).body, /<title>Home/)

  const answer = await ask('/assets/')
  t.deepEqual([answer.status, answer.type, pick(answer)], [200, 'text/html', cors])
  t.regex(answer.body, /<h1>Index of \/assets\/<\/h1>/)
  t.notRegex(answer.body, /hidden|broken|<base|<b /)
  const rows = rowsOf(answer.body)
  const nastyName = '&#60;b onclick=&#34;x&#34;&#62;&#38;&#39;.txt'
  t.deepEqual(rows.slice(0, 3), [
    ['../', '../', '-', '-'],
    ['fonts/', 'fonts/', '-', '2020-02-29 23:59:58'],
    ['link/', 'link/', '-', '2020-02-29 23:59:58']
  ])
  t.deepEqual(Object.fromEntries(rows.slice(3).map(([link, name, size]) => [link, [name, size]])), {
    '1023': ['1023', '1023B'],
    '1536': ['1536', '1.5K'],
    '3e6': ['3e6', '2.9M'],
    '2e9': ['2e9', '1.9G'],
    'logo.svg': ['logo.svg', '42B'],
    'robots.txt': ['robots.txt', '14B'],
    [encodeURIComponent(nasty)]: [nastyName, '0B'],
    '%C3%BC%20%23%3F.txt': ['ü #?.txt', '0B']
  })
  t.deepEqual(rows.find(([name]) => name === 'logo.svg')[3], '2020-02-29 23:59:58')
  const names = rows.slice(3).map(([link]) => decodeURIComponent(link))
  t.deepEqual(names, names.toSorted((a, b) => a.localeCompare(b)))
  for (const [link] of rows.slice(1)) t.is((await ask(`/assets/${link}`, { method: 'HEAD' })).status, 200, link)

  // Without the last slash the links must still lead into the folder.
  const [, base] = /<base href="([^"]*)">/.exec((await ask('/assets?x')).body)
  t.is(new URL(base, 'http://h/assets').pathname, '/assets/')

  await rm(path.join(site, 'index.html'))
  const home = await ask('/')
  t.regex(home.body, /<h1>Index of \/<\/h1>/)
  t.deepEqual(rowsOf(home.body).map(([link]) => link), ['assets/', 'pages/', 'app.mjs', 'data.json', 'LICENCE', 'style.css'])
})

test('a single page answers for every address', async (t) => {
  const site = await makeSite(t)
  const { ask } = await serve(t, site, { SPA: true })
  const home = (await ask('/')).body
  for (const target of ['/users', '/users/7', '/users/', '/users?id=7']) {
    const answer = await ask(target)
    t.deepEqual([answer.status, answer.type, answer.body, pick(answer)], [200, 'text/html', home, cors], target)
  }
  t.is((await ask('/a/b/style.css')).type, 'text/css')
  t.is((await ask('/a/b/pages')).status, 500)
  t.is((await ask('/..%2fx')).status, 403)
  await rm(path.join(site, 'index.html'))
  for (const target of ['/', '/users']) t.is((await ask(target)).status, 404, target)
  const both = await serve(t, site, { SPA: true, FTP: true })
  t.regex((await both.ask('/')).body, /Index of \//)
  t.regex((await both.ask('/x/assets/')).body, /Index of \/assets\//)
  t.is((await both.ask('/users')).status, 404)
})

test('another home page, which stays inside the folder', async (t) => {
  const site = await makeSite(t)
  for (const HOMEPAGE of ['/pages/about.html', 'pages/about.html', '../../pages/about.html']) {
    const { ask } = await serve(t, site, { SPA: true, HOMEPAGE })
    t.is((await ask('/')).body, '<p>about</p>\n', HOMEPAGE)
    t.is((await ask('/users/7')).body, '<p>about</p>\n', HOMEPAGE)
  }
  const outside = await serve(t, site, { HOMEPAGE: '/../site-private/secret.txt' })
  t.is((await outside.ask('/')).status, 404)
  const shown = await serve(t, site, { FTP: true, HOMEPAGE: '/pages/about.html' })
  t.regex((await shown.ask('/')).body, /<title>Home/)
})

test('nothing above the folder is served', async (t) => {
  const site = await makeSite(t)
  const servers = [await serve(t, site), await serve(t, site, { FTP: true, SPA: true }), await serve(t, `${site}/`)]
  const forbidden = [
    '/..%2f', '/..%2f..%2fetc/passwd', '/%2e%2e%2fsite-private%2fsecret.txt', '/..%2fsite-private',
    '/pages/..%2f..%2fsite-private/secret.txt', '/..%2Fsite-private/secret.txt', '/.%2e%2fsite-private/secret.txt',
    '/a/b/..%2f..%2f..%2f..%2fx', '/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f'
  ]
  const harmless = [
    '/..', '/../', '/../site-private/secret.txt', '/%2e%2e/site-private/secret.txt',
    '/pages/../../site-private/secret.txt', '//../site-private/secret.txt', '/..%5csite-private%5csecret.txt',
    '/..\\site-private\\secret.txt', '/%252e%252e%252fsite-private/secret.txt', '/..;/site-private/secret.txt',
    '/%c0%ae%c0%ae/site-private/secret.txt', '/..%00/site-private/secret.txt', 'http://x/../site-private/secret.txt',
    'x:../site-private/secret.txt', `/${'../'.repeat(50)}etc/passwd`, '/....//site-private/secret.txt'
  ]
  for (const { ask } of servers) {
    for (const target of forbidden) {
      const answer = await ask(target)
      t.deepEqual([answer.status, answer.type, answer.body, pick(answer)], [403, 'text/html', '403 Forbidden', {}], target)
    }
    for (const target of harmless) t.notRegex((await ask(target)).body, /secret|root:/, target)
    t.is((await ask('/..%2fsite/style.css')).status, 200, 'inside, in the end')
  }
  // Names that only look like it.
  await writeFile(path.join(site, '..a.css'), '')
  t.is((await servers[0].ask('/..a.css')).status, 200)
  // A link is the wish of who made the site.
  await symlink('../site-private', path.join(site, 'shared'))
  t.is((await servers[0].ask('/shared/secret.txt')).body, 'secret')
})

test('malformed addresses are refused, and the server lives on', async (t) => {
  const { ask, port, child } = await serve(t, await makeSite(t), { SPA: true, FTP: true })
  for (const target of ['/%', '/%zz', '/%E0%A4%A', '/%ff', '/%00', '/style.css%00.html', 'http://[/']) {
    const { status, type, body } = await ask(target)
    t.deepEqual([status, type, body], [400, 'text/html', '400 Bad Request'], target)
  }
  t.is((await ask(`/${'a'.repeat(300)}`)).body, 'Sorry, check with the site admin for error: ENAMETOOLONG ..\n')
  t.is((await ask('/style.css/%0a[x]%20forged')).status, 500)
  await waitFor(() => child.output.stderr.endsWith('serving /style.css/%0a[x]%20forged : ENOTDIR\n'))
  t.is(child.output.stderr.split('\n').length, 3)
  for (const bytes of ['GARBAGE\r\n\r\n', 'GET\r\n\r\n', '\0\0\0\0\r\n\r\n', `GET /${'a'.repeat(100_000)} HTTP/1.1\r\n\r\n`]) {
    const socket = net.connect(port, '127.0.0.1')
    socket.end(bytes)
    t.regex(await text(socket), /^HTTP\/1\.1 4\d\d /)
  }
  t.is((await ask('/style.css')).status, 200)
})

test('user and password', async (t) => {
  const site = await makeSite(t)
  const settings = { BASIC_AUTH: true, BASIC_AUTH_USERNAME: 'bob', BASIC_AUTH_PASSWORD: 'pä:ss' }
  const { ask } = await serve(t, site, settings)
  const isRefused = ({ status, type, body, headers }) => {
    t.deepEqual([status, type, body], [401, 'text/html', '401 Unauthorized'])
    t.is(headers['www-authenticate'], 'Basic realm="Authentication service"')
  }
  const wrong = ['bob:pä:s', 'bob:pä:ss:', 'bob:pä', 'bob:', 'bob', ':', '', 'Bob:pä:ss', 'eve:pä:ss', 'bob:pä:ss\n']
  for (const words of wrong) isRefused(await ask('/style.css', basic(words)))
  const { authorization } = basic('bob:pä:ss').headers
  const bearer = authorization.replace('Basic', 'Bearer')
  for (const header of ['', 'Basic', 'Basic !', bearer, authorization.slice(6), `X ${authorization}`, `${authorization} x`]) {
    isRefused(await ask('/style.css', { headers: { authorization: header } }))
  }
  for (const target of ['/', '/missing', '/..%2fx', '/%']) isRefused(await ask(target))
  for (const right of [authorization, authorization.replace('Basic', 'basic')]) {
    t.is((await ask('/style.css', { headers: { authorization: right } })).status, 200, right)
  }
  t.is((await ask('/missing', basic('bob:pä:ss'))).status, 404)

  const off = await serve(t, site, { ...settings, BASIC_AUTH: false })
  t.is((await off.ask('/style.css')).status, 200)
  for (const [BASIC_AUTH_USERNAME, BASIC_AUTH_PASSWORD] of [['', 'x'], ['null', 'null'], ['bob', '']]) {
    const { ask, child } = await serve(t, site, { BASIC_AUTH: true, BASIC_AUTH_USERNAME, BASIC_AUTH_PASSWORD })
    for (const words of ['null:null', 'bob:', 'bob', ':x', ':']) isRefused(await ask('/style.css', basic(words)))
    await waitFor(() => /without a user name and password/.test(child.output.stderr))
  }
})

test('large files are streamed, and clients that go away leave nothing behind', async (t) => {
  const site = await makeSite(t)
  await writeFile(path.join(site, 'large.bin'), '')
  await truncate(path.join(site, 'large.bin'), 400 * 1024 * 1024)
  const { ask, child, port } = await serve(t, site)
  const begin = async (target) => {
    const request = http.get({ host: '127.0.0.1', port, path: target, agent: false })
    const [response] = await once(request, 'response')
    await once(response, 'readable')
    return response
  }
  const open = await Promise.all(Array.from({ length: 10 }, () => begin('/large.bin')))
  t.is(open[0].headers['content-length'], `${400 * 1024 * 1024}`)
  for (const response of open) response.destroy()
  for (let i = 0; i < 20; i++) {
    const socket = net.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n'.slice(0, i * 2))
    socket.resetAndDestroy()
  }
  for (const method of ['GET', 'HEAD']) t.is((await ask('/style.css', { method })).status, 200)
  t.is(child.output.stderr, '')
  if (process.platform === 'linux') {
    const isServed = async () => {
      const files = await readdir(`/proc/${child.pid}/fd`)
      const targets = await Promise.all(files.map((file) => realpath(`/proc/${child.pid}/fd/${file}`).catch(() => '')))
      return targets.some((target) => target.startsWith(site))
    }
    await waitFor(async () => !(await isServed()))
    const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', `${child.pid}`])
    t.true(Number(stdout) < 150 * 1024, `${stdout.trim()} KB`)
  }
})

test('files that change while they are read', async (t) => {
  const site = await makeSite(t)
  const file = path.join(site, 'large.bin')
  const { ask, port } = await serve(t, site)
  const begin = async () => {
    await writeFile(file, '')
    await truncate(file, 64 * 1024 * 1024)
    const request = http.get({ host: '127.0.0.1', port, path: '/large.bin', agent: false })
    const [response] = await once(request, 'response')
    await once(response, 'readable')
    return response
  }
  const length = async (response) => {
    let bytes = 0
    for await (const chunk of response) bytes += chunk.length
    return bytes
  }

  const removed = await begin()
  await rm(file)
  t.is(await length(removed), 64 * 1024 * 1024)
  t.is((await ask('/large.bin')).status, 404)

  const longer = await begin()
  await truncate(file, 65 * 1024 * 1024)
  t.is(await length(longer), 64 * 1024 * 1024)

  const shorter = await begin()
  await truncate(file, 0)
  await t.throwsAsync(length(shorter), { code: 'ECONNRESET' })

  // On a connection that goes on, the next answer must not pass for the rest of the file.
  await truncate(file, 64 * 1024 * 1024)
  const socket = net.connect(port, '127.0.0.1')
  socket.write(['/large.bin', '/style.css'].map((target) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  await once(socket, 'readable')
  await truncate(file, 0)
  const received = await text(socket)
  t.is(received.match(/HTTP\/1\.1 200/g).length, 1)
  t.notRegex(received, /body \{/)
  t.is((await ask('/style.css')).status, 200)
})

test('pipes and sockets are no files', async (t) => {
  const site = await makeSite(t)
  await promisify(execFile)('mkfifo', [path.join(site, 'pipe')])
  const socket = net.createServer().listen(path.join(site, 'socket'))
  t.teardown(() => socket.close())
  await once(socket, 'listening')
  const { ask } = await serve(t, site)
  // More than there are threads for files.
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask('/pipe')))
  const sorry = 'Sorry, check with the site admin for error: EINVAL ..\n'
  for (const { status, body } of answers) t.deepEqual([status, body], [500, sorry])
  t.is((await ask('/socket')).status, 500)
  t.is((await ask('/style.css')).status, 200)
})

test('a port that cannot be had is one clear line and exit code 1', async (t) => {
  const site = await makeSite(t)
  const { port } = await serve(t, site)
  for (const [PORT, reason] of [[port, /EADDRINUSE: address already in use/], [99999, /should be >= 0 and < 65536/]]) {
    const child = launch(t, { PATH: site, PORT, HOST: '127.0.0.1' })
    t.deepEqual(await child.ended, [1, null])
    t.is(child.output.stdout, '')
    t.true(child.output.stderr.startsWith(`Cannot serve ${site} on 127.0.0.1:${PORT} : `))
    t.regex(child.output.stderr, reason)
    t.is(child.output.stderr.indexOf('\n'), child.output.stderr.length - 1)
  }
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  test(`${signal} ends it with code 0, also during downloads`, async (t) => {
    const site = await makeSite(t)
    await writeFile(path.join(site, 'large.bin'), '')
    await truncate(path.join(site, 'large.bin'), 400 * 1024 * 1024)

    const idle = await serve(t, site)
    const agent = new http.Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    const request = http.get({ host: '127.0.0.1', port: idle.port, path: '/style.css', agent })
    await text((await once(request, 'response'))[0])
    idle.child.kill(signal)
    t.deepEqual(await idle.child.ended, [0, null])

    const busy = await serve(t, site)
    const download = http.get({ host: '127.0.0.1', port: busy.port, path: '/large.bin', agent: false })
    const [response] = await once(download, 'response')
    response.on('error', () => {})
    const start = performance.now()
    busy.child.kill(signal)
    t.deepEqual(await busy.child.ended, [0, null])
    // The daemon kills what is still there after 1600 ms.
    t.true(performance.now() - start < 1600)
    t.deepEqual([idle.child.output.stderr, busy.child.output.stderr], ['', ''])
  })
}

test('answers what npm pm2 answers', async (t) => {
  const site = await makeSite(t)
  const { env, folder } = await makeHome(t)
  const login = { username: 'bob', password: 'pass' }
  const kinds = {
    plain: [{}, {}],
    spa: [{ spa: true }, { SPA: true }],
    ftp: [{ ftp: true }, { FTP: true }],
    auth: [{ basic_auth: login }, { BASIC_AUTH: true, BASIC_AUTH_USERNAME: login.username, BASIC_AUTH_PASSWORD: login.password }]
  }
  const theirs = {}
  const ours = {}
  const entries = []
  for (const [kind, [entry, settings]] of Object.entries(kinds)) {
    theirs[kind] = await freePort()
    ours[kind] = (await serve(t, site, settings)).port
    entries.push({ path: site, host: '127.0.0.1', port: theirs[kind], ...entry })
  }
  const quiet = { ...env, PM2_DISCRETE_MODE: 'true' }
  const npm = (call) => runNode(`
    const pm2 = require(${JSON.stringify(npmModule)})
    const done = (error) => { if (error) throw error[0] ?? error; process.exit() }
    pm2.connect((error) => error ? done(error) : ${call})`, { env: quiet })
  const started = await npm(`pm2.start({ apps: [], static: ${JSON.stringify(entries)} }, done)`)
  t.deepEqual([started.code, started.stderr], [0, ''])

  const requests = [
    '/', '/?a=1', '/index.html', '/style.css', '/data.json', '/assets/logo.svg', '/assets/fonts/a.woff2', '/LICENCE',
    '/.settings', '/pages/about.html', '/pages/../style.css', '/style%2ecss', '/style.css/',
    'http://elsewhere/style.css', '/style.css/x', '/pages', '/pages/', '/assets', '/assets/', '/assets/fonts',
    '/missing', '/missing/', '/a/b/style.css', '/a/b/c', '/a/b/pages', '/../style.css', '/%2e%2e/x', '/..%2fx',
    '/..%2fsite-private/secret.txt', '/..%2fsite/style.css', `/${'a'.repeat(300)}`, '*'
  ].map((target) => [target, {}])
  for (const method of ['HEAD', 'POST', 'DELETE']) requests.push(['/style.css', { method }], ['/missing', { method }])
  for (const words of ['bob:pass', 'bob:wrong', 'eve:pass', 'bob', ':']) requests.push(['/style.css', basic(words)])

  const compare = async (when) => {
    for (const kind of Object.keys(kinds)) {
      await waitFor(() => ask(theirs[kind], '/').catch(() => null))
      for (const [target, options] of requests) {
        const [left, right] = await Promise.all([theirs, ours].map(async (ports) => {
          const answer = await ask(ports[kind], target, options)
          const { status, type, headers, body } = answer
          const isListing = /Index of /.test(body)
          const seen = isListing ? [/<h1>(.*)<\/h1>/.exec(body)[1], rowsOf(body)] : body
          return { status, type, cors: pick(answer), challenge: headers['www-authenticate'], body: seen }
        }))
        t.deepEqual(right, left, `${kind} ${options.method ?? 'GET'} ${target} ${options.headers?.authorization ?? ''} ${when}`)
      }
    }
  }
  await compare('as it is')
  await writeFile(path.join(site, '404.html'), '<p>gone</p>')
  await rm(path.join(site, 'index.html'))
  await compare('without index.html, with 404.html')

  const ended = await npm('pm2.killDaemon(done)')
  t.deepEqual([ended.code, ended.stderr], [0, ''])
  t.deepEqual(await readdir(path.join(folder, 'pids')), [])
})
