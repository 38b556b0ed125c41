// The file of the saved process list: its mode, its backup, and what is made of one that somebody else wrote.
import { execFile } from 'node:child_process'
import { chmod, chown, lstat, mkdir, readFile, readdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { fixture, isAlive, makeHome, module } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const mode = async (file) => ((await stat(file)).mode & 0o777).toString(8)
const names = async (file) => JSON.parse(await readFile(file, 'utf8')).map(({ name }) => name)
const add = (pm2, name, options) => pm2.start({ script: fixture('idle.js'), name, autostart: false, ...options })
const messages = (error) => (error.errors ?? [error]).map(({ message }) => message)

/** A home with its list and its backup; nothing in it runs. */
async function makeListed(t) {
  const home = await makeHome(t)
  const dump = path.join(home.folder, 'dump.pm2')
  await add(home.pm2, 'a')
  return { ...home, dump, backup: `${dump}.bak`, files: async () => (await readdir(home.folder)).filter((name) => /dump|tmp/.test(name)).sort() }
}

/** An entry as npm pm2 needs it at least. */
const entry = (folder, name, more) => ({
  name, status: 'online', env: { PATH: process.env.PATH }, pm_exec_path: fixture('idle.js'), pm_cwd: folder,
  exec_interpreter: 'node', exec_mode: 'fork_mode', pm_pid_path: path.join(folder, 'pids', `${name}.pid`),
  pm_out_log_path: path.join(folder, 'logs', `${name}-out.log`), pm_err_log_path: path.join(folder, 'logs', `${name}-error.log`), ...more
})

test('the list and its backup are readable by their owner only, whatever they were before', async (t) => {
  const { pm2, dump, backup, files } = await makeListed(t)
  await pm2.dump()
  t.deepEqual([await mode(dump), await files()], ['600', ['dump.pm2']])
  const first = await readFile(dump, 'utf8')
  for (const file of [dump, backup]) {
    await writeFile(file, file === dump ? first : 'old')
    await chmod(file, 0o644)
  }
  await add(pm2, 'b')
  await pm2.dump()
  t.deepEqual([await mode(dump), await mode(backup)], ['600', '600'])
  t.is(await readFile(backup, 'utf8'), first)
  t.deepEqual(await names(dump), ['a', 'b'])
  t.deepEqual(await files(), ['dump.pm2', 'dump.pm2.bak'])
})

test('the list that a dying daemon saves has a backup and a private mode as well', async (t) => {
  const { pm2, dump, backup, daemonPid, files } = await makeListed(t)
  await pm2.dump()
  await add(pm2, 'b')
  const daemon = await daemonPid()
  process.kill(daemon, 'SIGTERM')
  await waitFor(() => !isAlive(daemon))
  t.deepEqual([await names(dump), await names(backup)], [['a', 'b'], ['a']])
  t.deepEqual([await mode(dump), await mode(backup)], ['600', '600'])
  t.deepEqual(await files(), ['dump.pm2', 'dump.pm2.bak'])
})

test('an empty list replaces nothing unless it is forced', async (t) => {
  const { pm2, dump, backup, daemonPid } = await makeListed(t)
  await pm2.dump()
  await pm2.delete('all')
  await t.throwsAsync(pm2.dump(), { message: 'Process list empty, cannot save empty list' })
  t.deepEqual(await names(dump), ['a'])
  const daemon = await daemonPid()
  await pm2.disconnect()
  process.kill(daemon, 'SIGTERM')
  await waitFor(() => !isAlive(daemon))
  t.deepEqual(await names(dump), ['a'])
  t.deepEqual(await pm2.dump(true), { success: true })
  t.deepEqual([await names(dump), await names(backup)], [[], ['a']])
})

test('a link stays a link, wherever it leads', async (t) => {
  const { pm2, folder, dump, backup } = await makeListed(t)
  const target = path.join(folder, 'elsewhere', 'list')
  await mkdir(path.dirname(target))
  await symlink(target, dump)
  // The first save finds a link to nothing.
  await pm2.dump()
  t.is(await readlink(dump), target)
  t.deepEqual(await names(target), ['a'])
  await add(pm2, 'b')
  await pm2.dump()
  t.is(await readlink(dump), target)
  t.deepEqual([await names(target), await names(backup)], [['a', 'b'], ['a']])
  t.is(await mode(target), '600')
  t.deepEqual(await readdir(path.dirname(target)), ['list'])
  await pm2.delete('all')
  t.deepEqual((await pm2.resurrect()).length, 2)
})

test('a list that cannot be written is a clear error, and the old one stays', async (t) => {
  const { pm2, dump, backup, files } = await makeListed(t)
  await pm2.dump()
  await mkdir(backup)
  await t.throwsAsync(pm2.dump(), { message: new RegExp(`^cannot replace ${backup}: `), code: 'EISDIR' })
  t.deepEqual([await names(dump), await files()], [['a'], ['dump.pm2', 'dump.pm2.bak']])
  await rm(backup, { recursive: true })
  await rm(dump)
  await mkdir(dump)
  await t.throwsAsync(pm2.dump(), { message: new RegExp(`^cannot read ${dump}: `), code: 'EISDIR' })
  await rm(dump, { recursive: true })
  await symlink(dump, dump)
  await t.throwsAsync(pm2.dump(), { message: new RegExp(`^cannot read ${dump}: `) })
  t.true((await lstat(dump)).isSymbolicLink())
  t.deepEqual(await files(), ['dump.pm2'])
})

test('a home that became read-only', async (t) => {
  const { folder, env } = await makeHome(t)
  // Modes do not bind root.
  const user = process.getuid() === 0 ? 65534 : process.getuid()
  await chown(folder, user, user)
  const text = `const pm2 = require(${JSON.stringify(module)})
  ;(async () => {
    await pm2.start({ script: ${JSON.stringify(fixture('idle.js'))}, name: 'a', autostart: false })
    await pm2.dump()
    await require('node:fs/promises').chmod(${JSON.stringify(folder)}, 0o500)
    const said = []
    for (const call of ['dump', 'clearDump']) await pm2[call]().catch(({ code, message }) => said.push({ code, message }))
    await pm2.delete('all')
    said.push((await pm2.resurrect()).map((app) => app.pm2_env.name))
    console.log(JSON.stringify(said))
    pm2.disconnect()
  })()`
  const options = { env: { ...env, HOME: folder }, uid: user, gid: user, cwd: '/' }
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', text], options)
  await chmod(folder, 0o700)
  const [dump, clear, names] = JSON.parse(stdout)
  for (const { code, message } of [dump, clear]) {
    t.is(code, 'EACCES')
    t.regex(message, new RegExp(`^cannot create ${folder}/.*: Permission denied`))
  }
  t.deepEqual(names, ['a'])
})

test('PM2_DUMP_FILE_PATH and PM2_DUMP_BACKUP_FILE_PATH name other files, for the daemon too', async (t) => {
  const { folder, env, script, daemonPid } = await makeHome(t)
  const [dump, backup] = ['list.json', 'list.old'].map((name) => path.join(folder, 'elsewhere', name))
  await mkdir(path.dirname(dump))
  const run = (text) => script(text, { env: { ...env, PM2_DUMP_FILE_PATH: dump, PM2_DUMP_BACKUP_FILE_PATH: backup } })
  const app = (name) => `await pm2.start({ script: ${JSON.stringify(fixture('idle.js'))}, name: '${name}', autostart: false })`
  const saved = await run(`(async () => { ${app('a')}; await pm2.dump(); ${app('b')}; await pm2.dump(); pm2.disconnect() })()`)
  t.deepEqual([saved.code, saved.stderr], [0, ''])
  t.deepEqual([await names(dump), await names(backup)], [['a', 'b'], ['a']])
  const daemon = await daemonPid()
  process.kill(daemon, 'SIGTERM')
  await waitFor(() => !isAlive(daemon))
  t.deepEqual([await names(dump), await names(backup)], [['a', 'b'], ['a', 'b']])
  const restored = await run(`(async () => {
    console.log(JSON.stringify((await pm2.resurrect()).map((app) => app.pm2_env.name)))
    pm2.disconnect()
  })()`)
  t.deepEqual(JSON.parse(restored.stdout).sort(), ['a', 'b'])
  t.deepEqual((await readdir(folder)).filter((name) => name.startsWith('dump')), [])
})

test('a folder for the list that does not exist is a clear error', async (t) => {
  const { env, script, folder } = await makeHome(t)
  const dump = path.join(folder, 'nowhere', 'list')
  const { stdout } = await script(
    `(async () => {
      await pm2.start({ script: ${JSON.stringify(fixture('idle.js'))}, name: 'a', autostart: false })
      await pm2.dump().catch(({ code, message }) => console.log(JSON.stringify({ code, message })))
      pm2.disconnect()
    })()`,
    { env: { ...env, PM2_DUMP_FILE_PATH: dump } }
  )
  const { code, message } = JSON.parse(stdout)
  t.is(code, 'ENOENT')
  t.regex(message, new RegExp(`^cannot create ${folder}/nowhere/.*: No such file`))
})

test('entries that cannot be restored are errors, the others start', async (t) => {
  const { pm2, folder, dump } = await makeListed(t)
  await pm2.delete('all')
  const bad = {
    'without name': { ...entry(folder, 'a'), name: undefined },
    'a number as name': { ...entry(folder, 'a'), name: 5 },
    'an empty name': { ...entry(folder, 'a'), name: '' },
    'without script': { ...entry(folder, 'a'), pm_exec_path: undefined },
    'nothing but a name': { name: 'a' },
    'an empty one': {},
    'not there': null,
    'a number': 1,
    'a text': 'x',
    'an array': [],
    'a folder that is gone': entry(folder, 'a', { pm_cwd: path.join(folder, 'gone') }),
    'an interpreter that is gone': entry(folder, 'a', { exec_interpreter: 'gone-interpreter' }),
    'a user that is none': entry(folder, 'a', { uid: 'gone-user' })
  }
  for (const [what, item] of Object.entries(bad)) {
    await writeFile(dump, JSON.stringify([item, entry(folder, 'good')]))
    const [error, result] = await new Promise((resolve) => pm2.resurrect((...args) => resolve(args)))
    t.true(Array.isArray(error) && error.length === 1 && error[0] instanceof Error, `${what}: ${error}`)
    t.deepEqual(result.map(({ pm2_env: env }) => env.name), ['good'], what)
    const online = (await pm2.list()).filter(({ pm2_env: env }) => env.status === 'online')
    t.deepEqual(online.map(({ name }) => name), ['good'], what)
    await pm2.delete('all')
  }
})

test('entries that lack what has a default are restored', async (t) => {
  const { pm2, folder, dump } = await makeListed(t)
  await pm2.delete('all')
  for (const name of ['env', 'pm_pid_path', 'pm_out_log_path', 'pm_err_log_path', 'exec_mode', 'exec_interpreter', 'pm_cwd', 'status']) {
    await writeFile(dump, JSON.stringify([{ ...entry(folder, 'app'), [name]: undefined }]))
    const [{ pid, pm2_env: env }] = await pm2.resurrect()
    t.is(env.status, 'online', name)
    t.true(isAlive(pid), name)
    await pm2.delete('all')
  }
})

test('a text that is no list: the backup, else an error, and the file stays', async (t) => {
  const { pm2, folder, dump, backup } = await makeListed(t)
  await pm2.delete('all')
  const good = JSON.stringify([entry(folder, 'good')])
  for (const text of ['', ' \n', '{}', 'null', '5', '"text"', 'nonsense', good.slice(0, -1), `${good}${good}`, '[process.exit()]', '[(() => {})()]', '[1 + 1]', '['.repeat(100_000)]) {
    const what = text.slice(0, 30)
    await writeFile(dump, text)
    await writeFile(backup, good)
    t.deepEqual((await pm2.resurrect()).map(({ pm2_env: env }) => env.name), ['good'], what)
    await pm2.delete('all')
    await writeFile(backup, text)
    const { message } = await t.throwsAsync(pm2.resurrect(), undefined, what)
    t.regex(message, /^not a dump: /, what)
    t.is(await readFile(dump, 'utf8'), text)
    t.deepEqual(await pm2.list(), [])
  }
  await rm(dump)
  await rm(backup)
  await t.throwsAsync(pm2.resurrect(), { code: 'ENOENT', message: new RegExp(`^cannot read ${dump}: `) })
})

test('10 000 entries are read in moments', async (t) => {
  const { pm2, folder, dump } = await makeListed(t)
  const many = Array.from({ length: 9_999 }, () => entry(folder, 'a', { env: { ...process.env, TEXT: 'x'.repeat(1000) } }))
  const text = JSON.stringify([...many, entry(folder, 'missing', { status: 'stopped' })], null, 2)
  // As JSON, and as a literal that only the slower reader takes.
  for (const form of [text, text.replace('[', '[ // saved')]) {
    await writeFile(dump, form)
    const start = performance.now()
    t.deepEqual((await pm2.resurrect()).map(({ pm2_env: env }) => env.name), ['missing'])
    const milliseconds = performance.now() - start
    t.log(`${(form.length / 2 ** 20).toFixed(1)} MiB in ${milliseconds.toFixed(0)} ms`)
    t.true(milliseconds < 10_000)
    await pm2.delete('missing')
  }
})

test('hundreds of entries come back, each once', async (t) => {
  const { pm2, folder, dump } = await makeListed(t)
  await pm2.delete('all')
  const wanted = Array.from({ length: 500 }, (_, n) => `app-${n}`)
  await writeFile(dump, JSON.stringify(wanted.map((name) => entry(folder, name, { status: 'stopped' }))))
  t.is((await pm2.resurrect()).length, 500)
  t.deepEqual(new Set((await pm2.list()).map(({ name }) => name)), new Set(wanted))
  t.deepEqual(await pm2.resurrect(), [])
  await pm2.dump()
  t.deepEqual(new Set(await names(dump)), new Set(wanted))
})
