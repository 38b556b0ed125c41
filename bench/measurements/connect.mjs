// The first `connect()` of a process: without a daemon, so that it launches one, and with one that runs.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { call, timed } from '../lib/api.mjs'

const run = promisify(execFile)

export const rows = [
  { key: 'launch', label: 'connect() that launches the daemon', unit: 'ms', target: { ratio: 20 } },
  { key: 'join', label: 'connect() to a running daemon', unit: 'ms' },
]

const script = `
const pm2 = require(process.argv[1])
const start = process.hrtime.bigint()
pm2.connect((error) => {
  const end = process.hrtime.bigint()
  require('node:fs').writeSync(1, '\\n' + (error ? 'NaN' : Number(end - start) / 1e6))
  process.exit(0)
})`

export async function measure({ load, module }) {
  const pm2 = load()
  const launch = await timed(() => call(pm2, 'connect'))
  const { stdout } = await run(process.execPath, ['-e', script, module])
  const join = Number(stdout.slice(stdout.lastIndexOf('\n')))
  if (Number.isNaN(join)) throw new Error(`second connect: ${stdout}`)
  return { launch, join }
}
