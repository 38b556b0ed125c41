// Private memory of an idle Node app. `bare` is the same script in a Node that nobody manages, with pipes for output.
// Both run at the same time, so that pages of the Node executable are shared for both or for none.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { connected, startAll } from '../lib/api.mjs'
import { settled, unique } from '../lib/memory.mjs'

const script = fileURLToPath(new URL('../fixtures/idle.js', import.meta.url))

export const rows = [
  { key: 'managed', label: 'private memory of an idle Node app', unit: 'MiB', bare: 'bare', target: { overBare: 0.5 } },
]

export async function measure({ load }) {
  const pm2 = await connected(load)
  const [{ pid }] = await startAll(pm2, [{ name: 'idle', script }])
  const bareNode = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'pipe'] })
  const [managed, bare] = await Promise.all([
    settled(() => unique(pid), { after: 3000 }),
    settled(() => unique(bareNode.pid), { after: 3000 }),
  ])
  bareNode.kill('SIGKILL')
  return { managed, bare }
}
