// Apps that run as another user. Tests run as root.
import fs from 'node:fs'
import { recordStarts, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const cases = {
    name: sleeper({ name: 'by-name', uid: 'nobody' }),
    number: sleeper({ name: 'by-number', uid: 65534 }),
    group: sleeper({ name: 'with-group', uid: 'nobody', gid: 'daemon' }),
    'own home': sleeper({ name: 'own-home', user: 'nobody', env: { HOME: '/own' } }),
    'chosen home': sleeper({ name: 'chosen-home', user: 'nobody', env_production: { HOME: '/own' } }),
    root: sleeper({ name: 'root', uid: 'root' }),
  }
  await recordStarts(t, {
    ...Object.fromEntries(Object.entries(cases).map(([title, app]) => [title, { start: [app, { env: 'production' }] }])),
    script: { start: sleeperScript({ name: 'script', user: 'daemon' }) },
  })
  for (const { name, pid } of await t.all()) {
    t.record(`rights of ${name}`, fs.readFileSync(`/proc/${pid}/status`, 'utf8').split('\n').filter((line) => /^(Uid|Gid|Groups):/.test(line)))
  }
  await t.quiet.restart('by-name')
  const { pid } = await t.online('by-name', 1)
  t.environ('restarted', pid)
}
