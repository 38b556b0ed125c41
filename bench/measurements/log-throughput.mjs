// 200 MB from one app into its log, beside `cat > file`, and the processor time of the daemon for it.

import { execFile } from 'node:child_process'
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { call, connected } from '../lib/api.mjs'
import { cpuTime } from '../lib/cpu.mjs'

const MEGABYTES = 200
const line = 'a line of a log that is about as long as lines of logs usually are, a hundred bytes with its end....\n'

export const rows = [
  { key: 'speed', label: `${MEGABYTES} MB of log from one app`, unit: 'MB/s', bare: 'cat', target: { times: 5, timesBare: 0.7 } },
  { key: 'dated', label: 'the same, with dates', unit: 'MB/s', target: { times: 5 } },
  { key: 'cpu', label: `CPU of the daemon, ${MEGABYTES} MB of log`, unit: 'ms', target: { ratio: 10 } }
]

export async function measure({ load, home }) {
  const pm2 = await connected(load)
  const text = path.join(home, 'text')
  const size = MEGABYTES * 1e6
  // On its disk: what is still to be written there would be paid for by who writes next.
  writeFileSync(text, line.repeat(Math.ceil(size / line.length)).slice(0, size), { flush: true })
  const daemon = Number(readFileSync(path.join(home, 'pm2.pid'), 'utf8'))
  const cat = await copied(text, path.join(home, 'copy'))
  const plain = await written(pm2, home, text, daemon, { name: 'plain' })
  const { speed: dated } = await written(pm2, home, text, daemon, { name: 'dated', time: true })
  return { cat, speed: plain.speed, cpu: plain.cpu, dated }
}

/** `cat > file` behind a pipe, MB/s. */
function copied(text, file) {
  const start = performance.now()
  return new Promise((resolve, reject) => {
    execFile('sh', ['-c', `cat "${text}" | cat > "${file}"`], (error) => {
      if (error) reject(error)
      else resolve(MEGABYTES / ((performance.now() - start) / 1000))
      rmSync(file)
    })
  })
}

/** The app waits before it begins, so that its start does not count. */
async function written(pm2, home, text, daemon, options) {
  const go = path.join(home, `go-${options.name}`)
  const script = path.join(home, `${options.name}.sh`)
  writeFileSync(script, `until [ -e ${go} ]; do sleep 0.01; done\ncat ${text}\nexec sleep 1000\n`)
  await call(pm2, 'start', { script, interpreter: 'sh', ...options })
  const log = path.join(home, 'logs', `${options.name}-out.log`)
  const before = cpuTime(daemon)
  writeFileSync(go, '')
  const start = performance.now()
  // A date before each line makes it longer.
  while (statSync(log).size < MEGABYTES * 1e6) await new Promise((resolve) => setTimeout(resolve, 2))
  const speed = MEGABYTES / ((performance.now() - start) / 1000)
  const cpu = cpuTime(daemon) - before
  truncateSync(log)
  return { speed, cpu }
}
