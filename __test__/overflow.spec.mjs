// A subscriber that is stopped while an app writes 20 MB/s: it costs its queue, and nobody else anything.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { fixture, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const linux = process.platform === 'linux' ? test : test.skip
const stoppedMs = process.env.PM2_RS_FULL ? 300_000 : 3000

linux('a stopped subscriber costs its queue, and the log is complete', async (t) => {
  t.timeout(stoppedMs + 120_000)
  const { pm2, folder, daemonPid } = await makeHome(t)
  await pm2.connect()
  const daemon = await daemonPid()
  const memory = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${daemon}/status`, 'utf8'))[1]) / 1024
  const subscriber = spawn(process.execPath, [fixture('subscribe.js'), path.join(folder, 'pub.sock')], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => subscriber.kill('SIGKILL'))
  const lines = []
  let text = ''
  subscriber.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
    lines.splice(0, Infinity, ...text.split('\n').slice(0, -1))
  })
  await waitFor(() => lines[0] === 'open')
  const numbers = async () => {
    const before = lines.length
    subscriber.kill('SIGUSR2')
    await waitFor(() => lines.length > before)
    return JSON.parse(lines.at(-1))
  }
  const [app] = await pm2.start(fixture('write-steadily.js'), { name: 'app', autorestart: false })
  await waitFor(async () => (await numbers()).bytes > 5_000_000)

  subscriber.kill('SIGSTOP')
  let most = 0
  for (const end = Date.now() + stoppedMs; Date.now() < end; ) {
    most = Math.max(most, await memory())
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  t.true(most < 40, `${most} MB while it was stopped`)

  subscriber.kill('SIGCONT')
  const heard = await waitFor(async () => {
    const seen = await numbers()
    return seen.lost > 0 && seen
  })
  t.deepEqual([heard.notices, heard.disorder], [1, 0])
  await pm2.sendSignalToProcessName('SIGUSR2', 'app')
  const said = /total (\d+)/
  const total = await waitFor(async () => said.exec(await readFile(app.pm2_env.pm_err_log_path, 'utf8'))?.[1])
  const size = Number(total) * 200
  await waitFor(async () => (await stat(app.pm2_env.pm_out_log_path)).size === size)
  t.is(await nextNumber(app.pm2_env.pm_out_log_path), Number(total))
  await waitFor(async () => (await memory()) < 15)
})

/** Checks the numbers of all lines; gives the one that would come next, or throws. */
async function nextNumber(file) {
  let next = 0
  let rest = Buffer.alloc(0)
  const stream = createReadStream(file, { highWaterMark: 1 << 20 })
  stream.on('data', (chunk) => {
    const bytes = Buffer.concat([rest, chunk])
    let at = 0
    for (; at + 200 <= bytes.length; at += 200) {
      if (Number(bytes.toString('latin1', at, at + 12)) !== next) throw new Error(`a line is missing: ${next}`)
      next += 1
    }
    rest = bytes.subarray(at)
  })
  await once(stream, 'end')
  return next
}
