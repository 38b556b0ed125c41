// User and group, by name and number. Tests run as root.
import { tryCases } from '../lib/option-cases.mjs'
import { label } from '../lib/option-values.mjs'

const users = [
  { uid: 'nobody' }, { user: 'nobody' }, { uid: 1 }, { uid: '1' }, { user: 1 }, { user: '65534' }, { uid: 'daemon', gid: 'nogroup' }, { uid: 'nobody', gid: 'daemon' }, { uid: 'nobody', gid: 1 }, { uid: 1, gid: '65534' },
  { gid: 'nogroup' }, { gid: 1 }, { uid: 'missing-user' }, { uid: 54321 }, { uid: 'nobody', gid: 'missing-group' }, { uid: 'nobody', gid: 54321 }, { uid: 'nobody', user: 'daemon' }, { uid: 0 }, { uid: '0' }, { uid: 'root' },
  { uid: '' }, { uid: null }, { uid: false }, { uid: true }, { uid: [] }, { uid: {} }, { user: '' }, { user: false }, { gid: '' }, { gid: false }, { uid: 'nobody', env: { HOME: '/own' } }, { uid: -1 },
]

export async function run(pm2, t) {
  await pm2.connect()
  const cases = Object.fromEntries(users.map((given) => [label(given), given]))
  t.record('object', await tryCases(t, cases, (given) => [{ name: 'app', script: 'alive.js', autostart: false, ...structuredClone(given) }]))
  t.record('script', await tryCases(t, cases, (given) => ['alive.js', { name: 'app', autostart: false, ...structuredClone(given) }]))
}
