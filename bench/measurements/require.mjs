// `require()` in a Node that has loaded nothing else, and the whole process that does only that.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { median } from '../lib/statistics.mjs'

const run = promisify(execFile)
const SAMPLES = 5

export const rows = [
  { key: 'require', label: 'require()', unit: 'ms', target: { ratio: 15 } },
  { key: 'whole', label: 'node process that only requires it', unit: 'ms', bare: 'bare' },
]

const script = `
const start = process.hrtime.bigint()
require(process.argv[1])
const end = process.hrtime.bigint()
require('node:fs').writeSync(1, '\\n' + Number(end - start) / 1e6)
process.exit(0)`

export async function measure({ module }) {
  const samples = { require: [], whole: [], bare: [] }
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const start = performance.now()
    const { stdout } = await run(process.execPath, ['-e', script, module])
    samples.whole.push(performance.now() - start)
    samples.require.push(Number(stdout.slice(stdout.lastIndexOf('\n'))))
    const bare = performance.now()
    await run(process.execPath, ['-e', 'process.exit(0)'])
    samples.bare.push(performance.now() - bare)
  }
  return Object.fromEntries(Object.entries(samples).map(([key, values]) => [key, median(values)]))
}
