// Every option in every spelling with every kind of value, beside a script.
import { spelled, tryCases } from '../lib/option-cases.mjs'
import { options, samples } from '../lib/option-values.mjs'

export const limit = 120_000

export async function run(pm2, t) {
  await pm2.connect()
  await pm2.with({ as: 'no option' }).start(...args({}))
  await t.quiet.delete('all')
  for (const option of options.filter(({ name }) => name !== 'uid' && name !== 'gid')) {
    const cases = [option.name, ...option.aliases].map((spelling) => spelled(spelling, samples(option)))
    t.record(option.name, await tryCases(t, Object.assign({}, ...cases), args))
  }
}

function args(given) {
  return ['alive.js', { name: 'app', autostart: false, ...structuredClone(given) }]
}
