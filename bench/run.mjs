// node bench/run.mjs [--rounds n] [--only name,name] [--json]
//
// Measures npm pm2 and pm2-rs in turn, on this machine, in one run, and prints one table. The names are those of
// the files in `measurements/`. Exit code 1 when a target is missed or a measurement failed.
//
// Build first, optimised: `npm run build`. Only ratios of one run mean anything: a busy machine slows both sides.

import { availableParallelism, release } from 'node:os'
import { parseArgs } from 'node:util'
import { loadMeasurements } from './lib/measurements.mjs'
import { runOnce } from './lib/process.mjs'
import { judge } from './lib/rows.mjs'
import { checkBuild, sides } from './lib/sides.mjs'
import { table } from './lib/table.mjs'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds must be a positive integer, not ${options.rounds}`)

checkBuild()
const measurements = await loadMeasurements(options.only?.split(','))
const start = performance.now()
const rows = []
const failures = []
for (const measurement of measurements) rows.push(...(await compare(measurement)))
progress('')

const machine = { node: process.version, cpus: availableParallelism(), kernel: release() }
const seconds = Math.round((performance.now() - start) / 1000)
if (options.json) {
  console.log(JSON.stringify({ machine, versions: versions(), rounds, seconds, rows, failures }, null, 2))
} else {
  const about = sides.map(({ name, version }) => `${name} ${version}`).join(' against ')
  console.log(`${about}, node ${process.version}, ${machine.cpus} cores, ${rounds} rounds, ${seconds} s\n`)
  console.log(table(rows))
  for (const failure of failures) console.log(`\nfailed: ${failure}`)
}
process.exit(failures.length > 0 || rows.some(({ passed }) => passed === false) ? 1 : 0)

/** All rounds of one measurement. The side that goes first changes with every round. */
async function compare({ name, file, rows: described }) {
  const samples = Object.fromEntries(sides.map((side) => [side.name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      progress(`${name}: round ${round + 1} of ${rounds}, ${side.name}`)
      try {
        samples[side.name].push(await runOnce(file, side))
      } catch (error) {
        failures.push(`${name} with ${side.name}, round ${round + 1}: ${error.message}`)
      }
    }
  }
  return described.map((row) => judge(name, row, samples))
}

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function versions() {
  return Object.fromEntries(sides.map(({ name, version }) => [name, version]))
}
