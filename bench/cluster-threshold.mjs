// node bench/cluster-threshold.mjs [--rounds n] [--seconds n] [--rates n,n] [--instances n,n] [--work µs] [--json]
//
// From which rate of new connections on should workers accept them themselves? Compares `rr`, where the daemon deals
// all of them, with `hybrid` that never deals, at fixed rates. Arrivals are independent of each other and of the
// answers; latency counts from the moment at which a connection was due. `--work` is what the app computes for each.

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildLoad } from './lib/load.mjs'
import { describeMachine, machine } from './lib/machine.mjs'
import { runOnce } from './lib/process.mjs'
import { checkBuild, sidesNamed } from './lib/sides.mjs'
import { median } from './lib/statistics.mjs'
import { format, quantity } from './lib/table.mjs'
import { Turns } from './lib/turns.mjs'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    rates: { type: 'string', default: '250,500,1000,2000,4000' },
    instances: { type: 'string', default: '2,4' },
    work: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  },
})
const [rounds] = numbers('rounds', 1)
const [seconds] = numbers('seconds')
const [work] = numbers('work')
const input = { instances: numbers('instances', 1), rates: numbers('rates', 1), seconds, work }

const file = fileURLToPath(new URL('./lib/paced.mjs', import.meta.url))
const [{ module }] = sidesNamed(['pm2-rs'])
const ways = [
  { name: 'rr', module, input: { ...input, policy: 'rr' } },
  { name: 'direct', module, input: { ...input, policy: 'hybrid' }, env: { PM2_RS_CLUSTER_DIRECT_ABOVE: '0' } },
]

checkBuild()
await buildLoad()
const samples = { rr: [], direct: [] }
for (let round = 0; round < rounds; round += 1) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round + 1} of ${rounds}`)
  const turns = new Turns(ways.length, round % 2 === 1)
  await Promise.all(ways.map(async (way) => samples[way.name].push(...(await runOnce(file, way, turns)))))
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')

const cells = input.instances.flatMap((instances) =>
  input.rates.map((rate) => ({ instances, rate, rr: summary('rr', instances, rate), direct: summary('direct', instances, rate) })),
)
if (options.json) {
  console.log(JSON.stringify({ machine, input, rounds, cells }, null, 2))
} else {
  console.log(`${describeMachine()}, ${rounds} rounds of ${seconds} s each\n`)
  console.log(format(columns(), cells))
}

/** Medians over the rounds. */
function summary(way, instances, rate) {
  const found = samples[way].filter((sample) => sample.instances === instances && sample.rate === rate)
  const middle = (key) => median(found.map((sample) => sample[key]))
  return {
    p50: middle('p50'),
    p99: middle('p99'),
    daemon: middle('daemon'),
    workers: middle('workers'),
    even: middle('even'),
    waited: middle('waited'),
  }
}

function columns() {
  const both = (title, cell) => ['rr', 'direct'].map((way) => [`${title} ${way}`, (row) => cell(row[way])])
  const cpu = ({ daemon, workers }) => daemon + workers
  return [
    ['workers', ({ instances }) => String(instances)],
    ['new/s', ({ rate }) => String(rate)],
    ...both('p50', ({ p50 }) => quantity(p50, 'µs')),
    ...both('p99', ({ p99 }) => quantity(p99, 'µs')),
    ...both('daemon', ({ daemon }) => quantity(daemon, 'µs')),
    ...both('workers', ({ workers }) => quantity(workers, 'µs')),
    ['CPU direct/rr', ({ rr, direct }) => (cpu(direct) / cpu(rr)).toFixed(2)],
    ['p50 direct/rr', ({ rr, direct }) => (direct.p50 / rr.p50).toFixed(2)],
    ['p99 direct/rr', ({ rr, direct }) => (direct.p99 / rr.p99).toFixed(2)],
    ...both('even', ({ even }) => even.toFixed(2)),
    // Above nought the server did not keep up, and the latencies are those of a queue that grows.
    ...both('late', ({ waited }) => `${(waited * 100).toFixed(1)} %`),
  ]
}

/** The numbers of an option, positive integers if `least` is 1. */
function numbers(name, least = 0) {
  const values = options[name].split(',').map(Number)
  if (values.some((value) => !(value >= least) || (least === 1 && !Number.isInteger(value)))) {
    throw new Error(`--${name}: ${options[name]}`)
  }
  return values
}
