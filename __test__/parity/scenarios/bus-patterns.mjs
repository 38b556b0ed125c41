// What listeners get: exact names, patterns and what they stood for, `off`.
import { followAll, speaker } from '../lib/bus-cases.mjs'

const patterns = ['a:b', 'a:*', '*:b', '*:*', 'a*', '*', 'a.b', 'a.*', 'a', 'A:b', 'a:b*', '**', 'a+b', '(a)', 'a|b', '^a', '\\w', '[ab]']
const topics = ['a:b', 'a:', 'a:b:c', 'a.b', 'a', 'aab', 'a+b', '(a)', 'b', 'axb']

export async function run(pm2, t) {
  await t.quiet.connect()
  const { bus, count, start } = await followAll(t)
  const seen = Object.fromEntries(patterns.map((pattern) => [pattern, []]))
  for (const pattern of patterns) {
    bus.on(pattern, (...args) => {
      const packet = args.at(-1)
      if (packet?.process?.name === 'app' && packet.data?.n !== undefined) seen[pattern].push([...args.slice(0, -1), packet.data.n])
    })
  }
  const gone = []
  bus.on('a:b', () => gone.push('exact'))
  bus.on('*:b', () => gone.push('pattern'))
  await start(speaker('app', [...topics.map((type, n) => ({ type, data: { n } })), { type: 'end', data: 1 }]))
  await t.until('all is said', () => count('app', 'end') === 1)
  for (const [pattern, args] of Object.entries(seen)) t.record(pattern, args)
  t.record('two of a kind', gone)

  gone.length = 0
  bus.off('a:b')
  for (const list of Object.values(seen)) list.length = 0
  t.record('what on and off give', [bus.on('x', () => {}) === bus, bus.off('x') === bus, typeof bus.close, Array.isArray(bus.listeners)])
  await start(speaker('app', [...topics.map((type, n) => ({ type, data: { n } })), { type: 'end', data: 1 }]), { force: true })
  await t.quiet.restart('app')
  await t.until('all is said again', () => count('app', 'end') >= 2)
  t.record('after off', { exact: seen['a:b'].length, pattern: seen['*:b'].length > 0, gone: [...new Set(gone)] })
}
