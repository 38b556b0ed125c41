// node __test__/parity/run.mjs [--only name,name] [--left pm2|pm2-rs|recorded] [--right …] [--times n] [--jobs n] [--update] [--verbose]
//
// Compares pm2-rs (right) with npm pm2 (left). `--left recorded --right pm2` tells whether npm pm2 itself is steady,
// `--update` stores its recordings. PARITY_PM2 and PARITY_PM2_RS name other modules than the installed and the built one.
import { parseArgs } from 'node:util'
import { print } from './lib/compare.mjs'
import { compareScenario, inParallel, record, scenarios, side, store, unusedDifferences } from './lib/parity.mjs'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    left: { type: 'string', default: 'pm2' },
    right: { type: 'string', default: 'pm2-rs' },
    times: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    update: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
})

const left = side(options.left)
const right = options.update ? null : side(options.right)
const chosen = await scenarios(options.only)
const runs = Array.from({ length: Number(options.times) }, () => chosen).flat()
const used = new Set()
let nBad = 0

await inParallel(runs, Number(options.jobs), async (scenario) => {
  if (scenario.skip) return console.log(`- ${scenario.name} (${scenario.skip})`)
  const { ok, text } = await (right ? compared(scenario) : updated(scenario))
  if (!ok) nBad++
  console.log(`${ok ? '✓' : '✗'} ${scenario.name}${text}`)
})

if (right && !options.only && left.name !== right.name && right.name === 'pm2-rs') {
  for (const id of unusedDifferences(used)) {
    nBad++
    console.log(`✗ differences.mjs: nothing differs as "${id}" says`)
  }
}
console.log(nBad === 0 ? `${runs.length} scenarios agree` : `${nBad} of ${runs.length} failed`)
process.exit(nBad === 0 ? 0 : 1)

async function compared(scenario) {
  const outcome = await compareScenario(scenario, left, right)
  outcome.used.forEach((id) => used.add(id))
  const ok = outcome.failures.length === 0 && outcome.unexplained.length === 0
  const parts = [` (${outcome.left.ms} / ${outcome.right.ms} ms)`]
  for (const failure of outcome.failures) parts.push(`    ${failure}`)
  if (outcome.unexplained.length > 0) parts.push(print(outcome.unexplained, left.name, right.name, options.verbose ? Infinity : 40))
  if (!ok && options.verbose) parts.push(outcome.right.stdout, outcome.right.stderr)
  return { ok, text: parts.join('\n') }
}

async function updated(scenario) {
  const recording = await record(left, scenario)
  if (!recording.failed) store(scenario, recording)
  return { ok: !recording.failed, text: ` (${recording.ms} ms)${recording.failed ? `\n    ${recording.failed}\n${recording.stderr}` : ''}` }
}
