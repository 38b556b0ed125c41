// How many processes, in which mode, with which files.
import fs from 'node:fs'
import path from 'node:path'

const counts = [undefined, 1, 2, 3, 0, -1, -2, -5, 2.5, 0.5, 1.9, 1e1, '1', '2', '3', '0', '-1', '-2', '2.9', ' 2', '2 ', '2x', 'x2', '', 'max', 'MAX', 'max ', 'auto', 'foo', '0x2', '1e1', '02', '+2', false, null, [2], ['2']]
const common = [undefined, 1, 2, 0, -1, '2', 'max']
const modes = { plain: {}, fork: { exec_mode: 'fork' }, cluster: { exec_mode: 'cluster' } }
const settings = {
  fork_mode: { exec_mode: 'fork_mode' }, 'cluster python': { exec_mode: 'cluster', interpreter: 'python3' },
  node: { interpreter: 'node' }, 'node by path': { interpreter: process.execPath }, bun: { interpreter: 'bun' }, 'named like node': { interpreter: 'mynode' }, 'named unlike node': { interpreter: 'node20' },
  bash: { interpreter: 'bash', script: 'loop.sh' }, 'shell script': { script: 'loop.sh' }, python: { script: 'loop.py' }, none: { interpreter: 'none', script: 'binary.sh' }, command: { script: 'node alive.js' },
  'program': { script: '/bin/sleep', args: '1000' }, merged: { merge_logs: true }, 'not merged': { merge_logs: false }
}
const fields = ['exec_mode', 'instances', 'merge_logs', 'NODE_APP_INSTANCE', 'exec_interpreter', 'pm_out_log_path', 'pm_pid_path']

export const limit = 90_000

export async function run(pm2, t) {
  for (const name of ['bun', 'mynode', 'node20']) fs.writeFileSync(path.join(t.root, 'bin', name), '#!/bin/sh\n', { mode: 0o755 })
  await pm2.connect()
  for (const [title, setting] of Object.entries(modes)) t.record(title, await outcomes(t, setting, counts))
  for (const [title, setting] of Object.entries(settings)) t.record(title, await outcomes(t, setting, common))
}

async function outcomes(t, setting, tried) {
  const seen = {}
  for (const count of tried) {
    const app = { name: 'app', script: 'alive.js', autostart: false, ...setting, ...(count !== undefined && { instances: count }) }
    const { error, result } = await t.quiet.start(app)
    seen[`${typeof count} ${JSON.stringify(count)}`] = error
      ? String([error].flat()[0].message)
      : result.map(({ pm2_env: env }) => fields.map((field) => env[field] ?? null)).sort((a, b) => a[3] - b[3])
    if (!error) await t.quiet.delete('all')
  }
  return seen
}
