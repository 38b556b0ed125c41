// Reading logs, and continuing them in numbered files.

import fs from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

async function appWith(home, name, text, options = {}) {
  const script = path.join(home.folder, `${name}.js`)
  await fs.writeFile(script, text)
  return home.pm2.start({ name, script, ...options })
}

const contains = (file, text) => waitFor(async () => (await fs.readFile(file, 'utf8').catch(() => '')).includes(text))

test('the last lines are printed, also those in rotated files', async (t) => {
  const home = await makeHome(t)
  const text = 'for (let n = 0; n < 100; n++) console.log(`line ${n}`)\nconsole.error("an error")\nsetInterval(() => {}, 1000)'
  await appWith(home, 'app', text, { log_rotate: { max_size: 200, compress: true, rotateInterval: '' } })
  const log = path.join(home.folder, 'logs', 'app-out.log')
  await contains(log, 'line 99')
  const { stdout, stderr, code } = await home.script(
    "pm2.printLogs('app', 50, true).then(() => pm2.printLogs(0, { lines: 2, exclusive: 'out' })).then(() => pm2.disconnect())"
  )
  t.is(code, 0)
  t.is(stderr, 'an error\n')
  const lines = stdout.split('\n')
  t.deepEqual(
    lines.filter((line) => line.startsWith('line ')),
    Array.from({ length: 50 }, (_, n) => `line ${50 + n}`)
  )
  // As npm pm2 prints it.
  const grey = (words) => `\u001b[90m${words}\u001b[39m`
  const green = '\u001b[32m0|app      | \u001b[39m'
  t.true(stdout.endsWith(`${grey(`${log} last 2 lines:`)}\n${green}line 98\n${green}line 99\n\n`), stdout.slice(-200))
})

test('lines are printed as they come, until that is closed', async (t) => {
  const home = await makeHome(t)
  await appWith(home, 'app', 'let n = 0\nsetInterval(() => console.log(`line ${n++}`), 20)')
  await contains(path.join(home.folder, 'logs', 'app-out.log'), 'line 5')
  const script = `
    const seen = []
    const { write } = process.stdout
    process.stdout.write = (text) => { seen.push(text); return true }
    pm2.streamLogs('app', { lines: 5, raw: true }).then((stream) => {
      const timer = setInterval(() => {
        if (seen.join('').split('\\n').length < 20) return
        clearInterval(timer)
        stream.close()
        process.stdout.write = write
        console.log(JSON.stringify(seen.join('')))
        pm2.disconnect()
      }, 5)
    })`
  const { stdout, code } = await home.script(script)
  t.is(code, 0)
  const numbers = [...JSON.parse(stdout).matchAll(/^line (\d+)$/gm)].map(([, n]) => Number(n))
  t.true(numbers.length >= 15)
  t.deepEqual(numbers, Array.from(numbers, (_, n) => numbers[0] + n), 'each once, without a gap')
})

test('packets are printed as objects', async (t) => {
  const home = await makeHome(t)
  await appWith(home, 'app', "setInterval(() => console.log('one\\r\\ntwo'), 20)")
  const script = `
    pm2.streamLogs('all', { json: true }).then((stream) => {
      const { write } = process.stdout
      process.stdout.write = function (...args) { stream.close(); pm2.disconnect(); process.stdout.write = write; return write.apply(this, args) }
    })`
  const { stdout } = await home.script(script)
  const record = JSON.parse(stdout.split('\n')[0])
  t.like(record, { type: 'out', process_id: 0, app_name: 'app' })
  t.regex(record.message, /^(onetwo)+$/)
  t.deepEqual(Object.keys(record), ['message', 'timestamp', 'type', 'process_id', 'app_name'])
})

test('logs go on in files with higher numbers', async (t) => {
  const home = await makeHome(t)
  const logs = (name) => path.join(home.folder, 'logs', name)
  await appWith(home, 'app', 'let n = 0\nsetInterval(() => console.log(`line ${n++}`), 5)')
  await contains(logs('app-out.log'), 'line 3')
  t.deepEqual(await home.pm2.reloadLogs({ rotate: true }), {})
  await contains(logs('app-out-1.log'), '\n')
  const [{ pm2_env: env }] = await home.pm2.describe('app')
  t.is(env.pm_out_log_path, logs('app-out-1.log'))
  t.is(env.pm_err_log_path, logs('app-error-1.log'))
  await home.pm2.reloadLogs({ rotate: true })
  await contains(logs('app-out-2.log'), '\n')
  await home.pm2.stop('app')
  const texts = await Promise.all(['app-out.log', 'app-out-1.log', 'app-out-2.log'].map((name) => fs.readFile(logs(name), 'utf8')))
  const numbers = texts.join('').trim().split('\n')
  t.deepEqual(numbers, numbers.map((_, n) => `line ${n}`))
  t.true(texts.every((text) => text.endsWith('\n')))
  // It stays with that file.
  await home.pm2.restart('app')
  await waitFor(async () => (await fs.readFile(logs('app-out-2.log'), 'utf8')).includes('\nline 0\n'))
  // Without the option the files are opened anew.
  await fs.rename(logs('app-out-2.log'), logs('moved.log'))
  await home.pm2.reloadLogs()
  await contains(logs('app-out-2.log'), 'line')
})
