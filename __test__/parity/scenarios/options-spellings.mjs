// Two spellings of one option at once: which one counts, whatever their order.
import { tryCases } from '../lib/option-cases.mjs'
import { options, twoValues } from '../lib/option-values.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  for (const option of options.filter(({ name, aliases }) => name !== 'uid' && aliases.length > 0)) {
    t.record(`object ${option.name}`, await tryCases(t, pairs(option, [option.name, ...option.aliases]), (given) => [app(given)]))
    const beside = { ...pairs(option, option.aliases), ...order(option) }
    t.record(`script ${option.name}`, await tryCases(t, beside, (given) => ['alive.js', { name: 'app', autostart: false, ...structuredClone(given) }]))
  }
}

function app(given) {
  const script = 'script' in given || 'exec' in given ? {} : { script: 'alive.js' }
  return { name: 'app', autostart: false, ...script, ...structuredClone(given) }
}

function pairs(option, spellings) {
  const [first, second] = twoValues(option)
  const cases = {}
  for (const [n, one] of spellings.entries()) {
    for (const other of spellings.slice(n + 1)) {
      cases[`${one} then ${other}`] = { [one]: first, [other]: second }
      cases[`${other} then ${one}`] = { [other]: first, [one]: second }
      cases[`${one} null, ${other}`] = { [one]: null, [other]: second }
      cases[`${one} undefined, ${other}`] = { [one]: undefined, [other]: second }
      cases[`${one}, ${other} null`] = { [one]: first, [other]: null }
      cases[`${one} empty, ${other}`] = { [one]: '', [other]: second }
      cases[`${one}, ${other} empty`] = { [one]: first, [other]: '' }
      cases[`${one} zero, ${other}`] = { [one]: 0, [other]: second }
      cases[`${one} false, ${other}`] = { [one]: false, [other]: second }
    }
  }
  return cases
}

/** The canonical name, which npm pm2 does not read here, beside each other spelling. */
function order(option) {
  const [first, second] = twoValues(option)
  return Object.fromEntries(option.aliases.flatMap((alias) => [
    [`${option.name} then ${alias}`, { [option.name]: first, [alias]: second }],
    [`${alias} then ${option.name}`, { [alias]: first, [option.name]: second }],
  ]))
}
