// From the kill of an app to the moment its successor runs: a native program that notes the time first of all. `bare` is
// the same program from `spawn` in this process.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { call, connected, pause } from '../lib/api.mjs'
import { buildLoad, noteTime } from '../lib/load.mjs'
import { median } from '../lib/statistics.mjs'

/** Fewer than the 16 short lives after which PM2 gives an app up. */
const CRASHES = 7

export const prepare = buildLoad

export const rows = [
  {
    key: 'restart',
    label: 'crash until the restarted app runs',
    unit: 'ms',
    bare: 'bare',
    target: { ratio: 3, overBare: 2 },
  },
]

export async function measure({ load, home }) {
  const notes = path.join(home, 'notes')
  const bareNotes = path.join(home, 'bare-notes')
  const pm2 = await connected(load)
  await call(pm2, 'start', { name: 'crash', script: noteTime(), args: [notes], interpreter: 'none' })
  await noted(notes, 0)

  const restarts = []
  const bares = []
  for (let crash = 0; crash < CRASHES; crash += 1) {
    await pause(100)
    const [{ pid }] = await call(pm2, 'list')
    const killed = now()
    process.kill(pid, 'SIGKILL')
    restarts.push((await noted(notes, crash + 1)) - killed)

    const spawned = now()
    const child = spawn(noteTime(), [bareNotes], { stdio: ['pipe', 'pipe', 'pipe'] })
    bares.push((await noted(bareNotes, crash)) - spawned)
    child.kill('SIGKILL')
  }
  return { restart: median(restarts), bare: median(bares) }
}

/** The time of a line that is awaited, in ms since the epoch. */
async function noted(file, line) {
  for (let tries = 0; tries < 2000; tries += 1) {
    const lines = text(file).split('\n')
    if (lines.length > line + 1) return Number(lines[line]) / 1e6
    await pause(5)
  }
  throw new Error(`the app was not started ${line + 1} times`)
}

function text(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function now() {
  return performance.timeOrigin + performance.now()
}
