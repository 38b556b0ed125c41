// Temporary folders for PM2 homes. Whatever runs with such a home, daemon, apps and measuring process, is ended by
// its pid when the folder is given back, at the latest when this process ends, by Ctrl-C or an error too.
//
// The folders themselves are removed at the very end: ext4 without a journal does not reuse an inode for 5 s after its
// file was removed, and searches past all of those, which would make the next measurement's log files slow to create.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import path from 'node:path'

const LIMIT_MS = 20_000
const folders = new Set()

process.on('exit', () => {
  for (const folder of folders) {
    endHome(folder)
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}

/** A new folder; `home` in it is for PM2. */
export function makeHome() {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm2-bench-'))
  folders.add(folder)
  return folder
}

/** Ends everything whose PM2_HOME lies in the folder. Synchronous, because it must work at exit. */
export function endHome(folder) {
  const deadline = performance.now() + LIMIT_MS
  for (let pids = running(folder); pids.length > 0; pids = running(folder)) {
    if (performance.now() > deadline) throw new Error(`cannot end ${pids.join(', ')}`)
    for (const pid of pids) kill(pid)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  }
}

/** Pids by the environment they were started with: it finds apps of a start that was interrupted, too. */
function running(folder) {
  const wanted = `\0PM2_HOME=${path.join(folder, 'home')}\0`
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && environment(name).includes(wanted))
  // The daemon first, so that it does not start again what is ended after it.
  const daemon = text(path.join(folder, 'home', 'pm2.pid')).trim()
  return pids.map(Number).sort((a, b) => Number(b === Number(daemon)) - Number(a === Number(daemon)))
}

function environment(pid) {
  return `\0${text(`/proc/${pid}/environ`)}\0`
}

function text(file) {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}
