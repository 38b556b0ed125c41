// From the start of a Node app until the first line of its script, by its own clock: what is loaded before it. `bare` is
// the same script in a Node that nobody manages; all run one after the other, in turns.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { call, connected } from '../lib/api.mjs'
import { median } from '../lib/statistics.mjs'

const script = fileURLToPath(new URL('../fixtures/first-line.js', import.meta.url))
const TIMES = 15

export const rows = [
  { key: 'managed', label: 'start of a Node app until its first line', unit: 'ms', bare: 'bare', target: { overBare: 2 } },
]

export async function measure({ load, home }) {
  const pm2 = await connected(load)
  const files = ['managed', 'bare'].map((name) => path.join(home, name))
  const [managed, bare] = files.map((file) => () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []))
  await call(pm2, 'start', { name: 'app', script, args: [files[0]], autorestart: false })
  for (let time = 1; time <= TIMES; time += 1) {
    while (managed().length < time) await sleep(5)
    while ((await call(pm2, 'describe', 'app'))[0].pm2_env.status === 'online') await sleep(5)
    await once(spawn(process.execPath, [script, files[1]], { stdio: ['pipe', 'pipe', 'pipe'] }), 'exit')
    if (time < TIMES) await call(pm2, 'restart', 'app')
  }
  return { managed: median(managed()), bare: median(bare()) }
}
