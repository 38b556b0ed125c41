// node bench/run.mjs [--rounds n] [--only name,name] [--json]
//
// Measures npm pm2 and pm2-rs in turn, on this machine, in one run, and prints one table. The names are those of
// the files in `measurements/`. Exit code 1 when a target is missed or a measurement failed.
//
// Build first, optimised: `npm run build`. Only ratios of one run mean anything: a busy machine slows both sides.

import { parseArgs } from 'node:util'
import { describeMachine, machine } from './lib/machine.mjs'
import { loadMeasurements } from './lib/measurements.mjs'
import { runOnce } from './lib/process.mjs'
import { judge } from './lib/rows.mjs'
import { checkBuild, sides } from './lib/sides.mjs'
import { table } from './lib/table.mjs'
import { Turns } from './lib/turns.mjs'

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
for (const { prepare } of measurements) await prepare?.()
const rows = []
const failures = []
for (const measurement of measurements) rows.push(...(await compare(measurement)))
progress('')

const seconds = Math.round((performance.now() - start) / 1000)
if (options.json) {
  console.log(JSON.stringify({ machine, versions: versions(), rounds, seconds, rows, failures }, null, 2))
} else {
  const about = sides.map(({ name, version }) => `${name} ${version}`).join(' against ')
  console.log(`${about}, ${describeMachine()}, ${rounds} rounds, ${seconds} s\n`)
  console.log(table(rows))
  for (const failure of failures) console.log(`\nfailed: ${failure}`)
}
process.exit(failures.length > 0 || rows.some(({ passed }) => passed === false) ? 1 : 0)

/** All rounds of one measurement. The side that goes first changes with every round. */
async function compare({ name, file, sides, together, rows: described }) {
  const samples = Object.fromEntries(sides.map((side) => [side.name, []]))
  for (let round = 0; round < rounds; round += 1) {
    const about = `${name}: round ${round + 1} of ${rounds}`
    const results = together ? await inTurns(about, round) : await oneByOne(about, round)
    // What has the same index was measured at about the same time.
    const longest = Math.max(...[...results.values()].map((found) => found.length))
    for (const [side, found] of results) {
      samples[side.name].push(...Array.from({ length: longest }, (_, index) => found[index] ?? {}))
    }
  }
  return described.map((row) => judge(name, row, samples))

  async function oneByOne(about, round) {
    const results = new Map()
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      progress(`${about}, ${side.name}`)
      results.set(side, await attempt(about, side))
    }
    return results
  }

  async function inTurns(about, round) {
    progress(about)
    const turns = new Turns(sides.length, round % 2 === 1)
    return new Map(await Promise.all(sides.map(async (side) => [side, await attempt(about, side, turns)])))
  }

  /** The samples of one side, none if it failed. */
  async function attempt(about, side, turns) {
    try {
      return [await runOnce(file, side, turns)].flat()
    } catch (error) {
      failures.push(`${about}, ${side.name}: ${error.message}`)
      return []
    }
  }
}

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function versions() {
  return Object.fromEntries(sides.map(({ name, version }) => [name, version]))
}
