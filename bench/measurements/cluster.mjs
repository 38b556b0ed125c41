// Cluster mode, two and four instances of one small HTTP server. `bare` is Node's own cluster module, with a primary
// of a few lines and the default round robin.
//
// All sides' servers are there at once and are loaded in turns. The client takes its share of the processors, which
// brings the ratios of throughput nearer to 1 than they are; processor time is the servers' own.

import { connected } from '../lib/api.mjs'
import { endCluster, startCluster } from '../lib/cluster-app.mjs'
import { buildLoad, evenness, load } from '../lib/load.mjs'

const INSTANCES = [2, 4]
const CLIENTS = 64
/** Turns of each kind. */
const TIMES = 4
const SECONDS = 1

export const sides = ['bare', 'pm2', 'pm2-rs']
export const together = true
export const prepare = buildLoad

export const rows = INSTANCES.flatMap((instances) => {
  const row = (key, label, unit, target) => ({ key: key + instances, label: `${instances} workers: ${label}`, unit, target })
  return [
    row('fresh', 'connection per request', '/s', { timesBare: 1.5, times: 1.8 }),
    row('freshP50', 'the same, median latency', 'µs'),
    row('freshP99', 'the same, 99 % of latencies', 'µs'),
    row('kept', 'keep-alive requests', '/s', { timesBare: 0.97 }),
    row('keptP50', 'the same, median latency', 'µs'),
    row('keptP99', 'the same, 99 % of latencies', 'µs'),
    row('daemon', 'CPU of the daemon, 10,000 connections', 'ms', { ratio: 8 }),
    row('workers', 'CPU of the workers, 10,000 connections', 'ms'),
    row('workersKept', 'CPU of the workers, 10,000 keep-alive requests', 'ms'),
    row('even', 'worst/best worker, 4 connections each', '', { atLeast: 1 }),
  ]
})

export async function measure({ load: loadModule, home, turn }) {
  const pm2 = await connected(loadModule)
  const samples = Array.from({ length: TIMES }, () => ({}))
  for (const instances of INSTANCES) {
    await turn()
    const app = await startCluster(pm2, home, instances)
    for (const sample of samples) {
      const measured = await onePass(app, instances, turn)
      for (const [key, value] of Object.entries(measured)) sample[key + instances] = value
    }
    await turn()
    await endCluster(pm2)
  }
  return samples
}

/** The few connections come last, seconds after the many: a primary under load may deal in another way. */
async function onePass({ port, cpu }, instances, turn) {
  await turn()
  const fresh = await loadWithCpu({ clients: CLIENTS, seconds: SECONDS })
  await turn()
  const kept = await loadWithCpu({ clients: CLIENTS, seconds: SECONDS, keepAlive: true })
  await turn()
  const few = await load(port, { clients: 4 * instances, seconds: 0.2, keepAlive: true })
  return {
    ...summary('fresh', fresh.report),
    ...summary('kept', kept.report),
    daemon: fresh.daemon,
    workers: fresh.workers,
    workersKept: kept.workers,
    even: evenness(few, instances, 'connections'),
  }

  /** Processor time is for 10,000 requests. */
  async function loadWithCpu(options) {
    const before = cpu()
    const report = await load(port, options)
    const after = cpu()
    const per10000 = (which) => ((after[which] - before[which]) / report.requests) * 10_000
    return { report, daemon: per10000('daemon'), workers: per10000('workers') }
  }
}

function summary(key, { requests_per_second: perSecond, latency_us: { p50, p99 } }) {
  return { [key]: perSecond, [`${key}P50`]: p50, [`${key}P99`]: p99 }
}
