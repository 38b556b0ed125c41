// max_memory_restart: one restart per look at an app that is too large, none of one that is not.
import { follow, rest } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  process.env.PM2_WORKER_INTERVAL = '700' // read by the daemon when it is launched
  await pm2.connect()
  delete process.env.PM2_WORKER_INTERVAL
  const said = await follow(t)
  await t.quiet.start({ name: 'large', script: 'policy-grow.js', max_memory_restart: '90M', min_uptime: 100 })
  await t.quiet.start({ name: 'fine', script: 'policy-grow.js', max_memory_restart: '2G', min_uptime: 100 })
  await t.quiet.start({ name: 'free', script: 'policy-grow.js', min_uptime: 100 })
  await t.online('large', 2)
  await t.quiet.stop('large')
  const { status, unstable_restarts, dated } = rest(await t.proc('large'))
  t.record('large', { status, unstable_restarts, dated, limit: (await t.proc('large')).pm2_env.max_memory_restart })
  for (const name of ['fine', 'free']) t.record(name, rest(await t.proc(name)))
  t.record('events', said('large').slice(0, 5).map(({ event, by, status }) => ({ event, by, status })))
  t.record('log', [...new Set((t.read('pm2.log') ?? '').split('\n').filter((line) => line.includes('memory')).map((line) => line.replace(/^\S+ PM2\s+\w+: /, '').replace(/current_memory=\d+/, 'current_memory=N')))])
}
