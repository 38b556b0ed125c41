// The same scripts against npm pm2 and against pm2-rs, compared field by field. See parity/run.mjs to run one.
import test from 'ava'
import { print } from './parity/lib/compare.mjs'
import { compareScenario, inParallel, scenarios, side, unusedDifferences } from './parity/lib/parity.mjs'

const parallel = 2
const left = side(process.env.PARITY_LEFT ?? 'pm2')
const right = side(process.env.PARITY_RIGHT ?? 'pm2-rs')
const chosen = (await scenarios()).filter(({ skip }) => !skip)
const used = new Set()

// One queue for all scenarios, whatever ava's own concurrency is: each of them starts daemons.
const outcomes = new Map(chosen.map((scenario) => [scenario, withResolvers()]))
const running = inParallel(chosen, parallel, async (scenario) => {
  const outcome = await compareScenario(scenario, left, right)
  outcome.used.forEach((id) => used.add(id))
  outcomes.get(scenario).resolve(outcome)
})

for (const [scenario, { promise }] of outcomes) {
  test(scenario.name, async (t) => {
    t.timeout(600_000)
    const { failures, unexplained } = await promise
    if (unexplained.length > 0) t.log(print(unexplained, left.name, right.name))
    t.deepEqual(failures, [])
    t.is(unexplained.length, 0)
  })
}

const complete = left.name !== right.name && right.name === 'pm2-rs' ? test : test.skip
complete('every listed difference exists', async (t) => {
  t.timeout(600_000)
  await running
  t.deepEqual(unusedDifferences(used), [])
})

function withResolvers() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
