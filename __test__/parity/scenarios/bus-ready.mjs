// Apps that say when they are ready, and apps that never do.
import { followAll, node } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  const names = []
  for (const [mode, options] of Object.entries({ fork: {}, cluster: { exec_mode: 'cluster' } })) {
    await bus.start({ ...node(`${mode} says so`, 'ready.js', '200'), wait_ready: true, ...options })
    await bus.start({ ...node(`${mode} does not`, 'alive.js'), wait_ready: true, listen_timeout: 300, ...options })
    names.push(`${mode} says so`, `${mode} does not`)
  }
  await t.quiet.reload('cluster says so')
  await bus.record(...names)
}
