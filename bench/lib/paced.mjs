// One way of handing out connections at given rates of new ones. A measurement as those in `measurements/`, with an
// input: `{policy, instances: [n], rates: [perSecond], seconds, work}`.

import { call, connected } from './api.mjs'
import { endCluster, startCluster } from './cluster-app.mjs'
import { evenness, load } from './load.mjs'

/** Far more than are ever under way while the server keeps up. */
const CLIENTS = 512

/** @returns one object for each number of instances and rate; processor time in µs per connection */
export async function measure({ load: loadModule, home, input, turn }) {
  const pm2 = await connected(loadModule)
  const results = []
  for (const instances of input.instances) {
    await turn()
    const env = { WORK: String(input.work) }
    const app = await startCluster(pm2, home, instances, { scheduling_policy: input.policy, env })
    // An addon that is older than the daemon drops options that it does not know.
    const [{ pm2_env: taken }] = await call(pm2, 'list')
    if (taken.scheduling_policy !== input.policy) throw new Error('scheduling_policy is lost: npm run build')
    for (const rate of input.rates) {
      await turn()
      results.push({ instances, rate, ...(await atRate(app, instances, rate, input.seconds)) })
    }
    await turn()
    await endCluster(pm2)
  }
  return results
}

async function atRate({ port, cpu }, instances, rate, seconds) {
  const before = cpu()
  const report = await load(port, { clients: CLIENTS, rate, seconds })
  const after = cpu()
  const perConnection = (which) => ((after[which] - before[which]) / report.connections) * 1000
  return {
    p50: report.latency_us.p50,
    p99: report.latency_us.p99,
    daemon: perConnection('daemon'),
    workers: perConnection('workers'),
    even: evenness(report, instances, 'requests'),
    waited: report.waited / report.requests,
  }
}
