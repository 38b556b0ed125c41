// Runs scenarios on two sides and judges the outcome. Used by run.mjs and by parity.spec.mjs.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { differences } from '../differences.mjs'
import { compare, explain } from './compare.mjs'
import { findExecutable } from './executables.mjs'
import { runSide } from './side.mjs'

const parityDir = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const checkout = path.join(parityDir, '..', '..')
const recordedDir = path.join(parityDir, 'recorded')

/** Implementations by name; `recorded` is npm pm2 as stored by `run.mjs --update`. */
export function side(name) {
  if (name === 'recorded') return { name }
  const variable = { pm2: 'PARITY_PM2', 'pm2-rs': 'PARITY_PM2_RS' }[name]
  if (!variable) throw new Error(`unknown side ${name}: pm2, pm2-rs or recorded`)
  const request = process.env[variable] ?? (name === 'pm2' ? 'pm2' : path.join(checkout, 'index.js'))
  return { name, modulePath: createRequire(import.meta.url).resolve(request) }
}

/** @returns {Promise<Array<{name: string, file: string, limit?: number, skip?: string}>>} */
export async function scenarios(only) {
  const dir = path.join(parityDir, 'scenarios')
  const names = fs.readdirSync(dir).filter((file) => file.endsWith('.mjs')).map((file) => file.slice(0, -4)).sort()
  return Promise.all(names.filter((name) => !only || only.split(',').includes(name)).map(async (name) => {
    const file = path.join(dir, `${name}.mjs`)
    const { limit, needs = [] } = await import(pathToFileURL(file))
    const missing = needs.filter((program) => !findExecutable(program))
    return { name, file, limit, skip: missing.length > 0 ? `needs ${missing.join(', ')}` : undefined }
  }))
}

/** @returns {Promise<{failures: string[], unexplained: Array, used: Set<string>, left: object, right: object}>} */
export async function compareScenario(scenario, left, right) {
  const [a, b] = [await attempt(left, scenario), await attempt(right, scenario)]
  const failures = [[left, a], [right, b]].filter(([, recording]) => recording.failed).map(([{ name }, recording]) => `${name}: ${recording.failed}`)
  const { unexplained, used } = explain(scenario.name, compare(a.steps, b.steps), differences)
  return { failures, unexplained, used, left: a, right: b }
}

async function attempt(side, scenario) {
  try {
    return await record(side, scenario)
  } catch (error) {
    return { steps: {}, failed: error.message, stdout: '', stderr: '', ms: 0 }
  }
}

export async function record(side, scenario) {
  if (side.name !== 'recorded') return runSide(side, scenario)
  const file = path.join(recordedDir, `${scenario.name}.json`)
  return { steps: JSON.parse(fs.readFileSync(file, 'utf8')), failed: null, stdout: '', stderr: '', ms: 0 }
}

export function store(scenario, recording) {
  fs.mkdirSync(recordedDir, { recursive: true })
  const lines = Object.entries(recording.steps).map(([step, value]) => `${JSON.stringify(step)}: ${JSON.stringify(value)}`)
  fs.writeFileSync(path.join(recordedDir, `${scenario.name}.json`), `{\n${lines.join(',\n')}\n}\n`)
}

/** Entries nothing needed; only a complete run can tell. */
export function unusedDifferences(used) {
  return differences.filter(({ id }) => !used.has(id)).map(({ id }) => id)
}

/** Runs `work` on every item, `width` at a time. */
export async function inParallel(items, width, work) {
  const queue = [...items]
  await Promise.all(Array.from({ length: width }, async () => {
    while (queue.length > 0) await work(queue.shift())
  }))
}
