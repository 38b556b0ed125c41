// An app that takes 100 MB per second with a limit of 100M: how far it gets, and how long after it has crossed the limit
// the next process runs. PM2 looks every 30 s, by when it would have 3 GB: it is not asked.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { call, connected, pause } from '../lib/api.mjs'

const script = fileURLToPath(new URL('../fixtures/memory-hog.cjs', import.meta.url))
const LIVES = 5

export const sides = ['pm2-rs']
export const rows = [
  { key: 'peak', label: 'peak of 100 MB/s with a limit of 100M', unit: 'MiB', target: { atMost: 333 } },
  { key: 'reaction', label: 'limit crossed until the next process runs', unit: 'ms', target: { atMost: 2000 } },
]

export async function measure({ load, home }) {
  const notes = path.join(home, 'notes')
  const pm2 = await connected(load)
  await call(pm2, 'start', { name: 'hog', script, args: [notes], max_memory_restart: '100M' })
  let lives
  do {
    await pause(200)
    lives = read(notes)
  } while (lives.length <= LIVES)
  const reactions = lives.slice(1).map(([first], at) => first.time - lives[at].find(({ size }) => size > 100).time)
  return {
    peak: Math.max(...lives.flat().map(({ size }) => size)),
    reaction: Math.max(...reactions),
  }
}

/** The notes of each process, in their order. */
function read(notes) {
  const lives = new Map()
  let text = ''
  try {
    text = readFileSync(notes, 'utf8')
  } catch {
    return []
  }
  for (const line of text.split('\n').slice(0, -1)) {
    const [pid, time, size] = line.split(' ').map(Number)
    lives.set(pid, [...(lives.get(pid) ?? []), { time, size }])
  }
  return [...lives.values()]
}
