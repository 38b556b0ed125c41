// The daemon starts with the machine. Everything is written below a folder that stands for the machine's root, and
// commands of the init system are recorded instead of run.
import test from 'ava'
import { access, chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { fixture, isAlive, makeHome, module } from './helpers/home.mjs'

const require = createRequire(import.meta.url)

/** A machine with systemd. @returns `{root, commands, ...home}` */
async function makeMachine(t) {
  const machine = await mkdtemp(path.join(tmpdir(), 'pm2-rs-machine-'))
  t.teardown(() => rm(machine, { recursive: true, force: true }))
  const root = path.join(machine, 'root')
  const bin = path.join(machine, 'bin')
  await mkdir(root)
  await mkdir(bin)
  await writeFile(path.join(bin, 'systemctl'), '#!/bin/sh\nexit 9\n')
  await chmod(path.join(bin, 'systemctl'), 0o755)
  const home = await makeHome(t)
  const before = { ...process.env }
  Object.assign(process.env, { PM2_RS_STARTUP_ROOT: root, PATH: `${bin}:${before.PATH}`, USER: 'root' })
  t.teardown(() => {
    for (const name of ['PM2_RS_STARTUP_ROOT', 'PATH', 'USER']) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  })
  const commands = async () => {
    const file = path.join(root, 'commands')
    const text = await readFile(file, 'utf8').catch(() => '')
    await rm(file, { force: true })
    return text.split('\n').filter(Boolean)
  }
  return { ...home, root, commands }
}

const exists = (file) => access(file).then(() => true, () => false)

test.serial('startup(platform, callback) sets the init system up and calls back', async (t) => {
  const { commands, daemonPid, folder, pm2, root } = await makeMachine(t)
  for (const platform of ['ubuntu', 'centos', 'redhat', 'systemd']) {
    const result = await promisify(pm2.startup)(platform)
    t.deepEqual(Object.keys(result), ['destination', 'template'])
    t.is(result.destination, '/etc/systemd/system/pm2-root.service')
    const file = path.join(root, result.destination)
    t.is(await readFile(file, 'utf8'), result.template)
    t.is((await stat(file)).mode & 0o7777, 0o644)
    t.deepEqual(await commands(), ['systemctl enable pm2-root'])
    t.regex(result.template, /^Type=notify$/m)
    t.regex(result.template, /^ExecStart=\/.*\/pm2-rs daemon --resurrect$/m)
    t.false(result.template.includes(`${process.execPath} `))
    t.true(result.template.includes(`\nEnvironment=PM2_HOME=${folder}\n`))
  }
  t.is(await daemonPid(), null, 'no daemon is launched for it')
})

test.serial('the other platforms of the API document', async (t) => {
  const { commands, pm2, root } = await makeMachine(t)
  process.env.PATH = path.join(root, 'nowhere')
  const destination = async (platform) => (await pm2.startup(platform, { hp: '/Users/me' })).destination
  t.is(await destination('redhat'), '/etc/init.d/pm2-root')
  t.is((await commands()).at(-1), 'chkconfig pm2-root on')
  t.is(await destination('amazon'), '/etc/init.d/pm2-root')
  t.is(await destination('gentoo'), '/etc/init.d/pm2')
  t.is((await commands()).at(-1), 'rc-update add pm2 default')
  t.is(await destination('darwin'), '/Users/me/Library/LaunchAgents/pm2.root.plist')
  t.true(await exists(path.join(root, '/Users/me/Library/LaunchAgents/pm2.root.plist')))
  await t.throwsAsync(pm2.startup(), { message: 'Init system not found' })
})

test.serial('without a platform the one that is found counts; options are heard', async (t) => {
  const { commands, pm2 } = await makeMachine(t)
  t.is((await pm2.startup()).destination, '/etc/systemd/system/pm2-root.service')
  await commands()
  const options = { user: 'deploy', hp: '/srv/deploy', serviceName: 'apps', waitIp: true }
  const { destination, template } = await promisify(pm2.startup)(null, options)
  t.is(destination, '/etc/systemd/system/apps.service')
  t.regex(template, /^User=deploy$/m)
  t.regex(template, /^Environment=PM2_HOME=\/srv\/deploy\/\.pm2$/m)
  t.regex(template, /^After=network-online\.target$/m)
  t.deepEqual(await commands(), ['systemctl enable apps'])
})

test.serial('uninstallStartup undoes it', async (t) => {
  const { commands, pm2, root } = await makeMachine(t)
  const { destination } = await pm2.startup('systemd')
  await commands()
  const done = ['systemctl stop pm2-root', 'systemctl disable pm2-root']
  const result = await promisify(pm2.uninstallStartup)('systemd')
  t.deepEqual(result, { commands: [...done, `rm ${destination}`], platform: 'systemd' })
  t.deepEqual(await commands(), done)
  t.false(await exists(path.join(root, destination)))
  t.is((await pm2.uninstallStartup('ubuntu', { serviceName: 'x' })).commands[0], 'systemctl stop x')
  await mkdir(path.join(root, destination, 'in the way'), { recursive: true })
  const { failed } = await pm2.uninstallStartup('systemd')
  t.deepEqual(failed.map(({ command }) => command), [`rm ${destination}`])
})

test.serial('the process list is saved for the next start of the machine', async (t) => {
  const { folder, pm2 } = await makeMachine(t)
  await pm2.start({ script: fixture('idle.js'), name: 'kept' })
  await pm2.startup('systemd')
  const saved = JSON.parse(await readFile(path.join(folder, 'dump.pm2'), 'utf8'))
  t.deepEqual(saved.map(({ name }) => name), ['kept'])
  const [{ pid }] = await pm2.list()
  t.true(isAlive(pid))
})

test.serial('mistakes are errors, never exceptions', async (t) => {
  const { commands, pm2 } = await makeMachine(t)
  for (const name of ['startup', 'uninstallStartup']) {
    const refused = (...args) => new Promise((resolve) => pm2[name](...args, (...answer) => resolve(answer)))
    const [error, ...more] = await refused('nope')
    t.is(error.message, 'Unknown platform / init system name')
    t.deepEqual(more, [])
    t.is((await refused('systemd', { serviceName: '../x' }))[0].code, 'ERR_INVALID_ARG_VALUE')
    t.is((await refused('systemd', 'x'))[0].message, 'the options must be an object, not string')
    t.is((await refused(7))[0].message, 'platform must be a text, not number')
    t.is((await refused('systemd', { user: 7 }))[0].message, 'user must be a text, not number')
  }
  t.deepEqual(await commands(), [])
})

test.serial('who is not root gets an error with the line for root', async (t) => {
  const { env, pm2, root } = await makeMachine(t)
  const { PM2_RS_STARTUP_ROOT: _, ...own } = { ...process.env, PM2_HOME: env.PM2_HOME, HOME: '/nonexistent' }
  const isRoot = process.getuid() === 0
  // The addon is loaded before the user changes: a checkout may be closed to others.
  const text = `
    const pm2 = require(${JSON.stringify(module)})
    require(${JSON.stringify(require.resolve('../binding.js'))}).moduleUrl()
    require(${JSON.stringify(require.resolve('../lib/startup.js'))})
    if (${isRoot}) {
      process.setgid(65534)
      process.setuid(65534)
    }
    pm2.startup('systemd', (error, ...more) => {
      pm2.uninstallStartup('systemd', { user: 'bob' }, (second) => {
        console.log(JSON.stringify([error.message, error.code, more.length, second.message]))
      })
    })`
  const { execFile } = await import('node:child_process')
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', text], { env: own, cwd: '/' })
  const [message, code, rest, second] = JSON.parse(stdout)
  t.is(code, 'PM2_NOT_ROOT')
  t.is(rest, 0)
  const [first, , line] = message.split('\n')
  t.is(first, 'You have to run this with elevated rights')
  const folder = path.dirname(module)
  const user = isRoot ? 'nobody' : require('node:os').userInfo().username
  t.is(line, `sudo env PATH=$PATH:${folder} ${folder}/pm2-rs startup systemd -u ${user} --hp /nonexistent`)
  t.is(second.split('\n')[2], `sudo env PATH=$PATH:${folder} pm2-rs unstartup systemd -u bob --hp /nonexistent`)
  t.false(await exists(path.join(root, 'etc')))
  t.is(typeof pm2.startup, 'function')
})
