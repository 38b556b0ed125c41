// Output as the bus has it, in both modes and all formats.
import { followAll } from '../lib/bus-cases.mjs'
import { shell } from '../lib/policy-cases.mjs'

const text = 'echo one; echo two >&2; printf part; sleep 0.2; printf "ial\\nthree ä\\n"; sleep 300'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  const apps = [
    shell('plain', text),
    shell('dated', text, { log_date_format: '[at]' }),
    shell('json', text, { log_type: 'json' }),
    shell('silent', text, { disable_logs: true }),
    shell('nowhere', text, { out_file: '/dev/null', error_file: '/dev/null' }),
    shell('large', 'head -c 300000 /dev/zero | tr "\\0" x; echo; echo end; sleep 300'),
  ]
  for (const app of apps) await bus.start(app)
  for (const { name } of apps) {
    if (name !== 'silent') await t.until(`${name} has written all`, () => /(three ä|end)/.test(bus.logs(name)))
  }
  await bus.record()
  for (const { name } of apps.slice(0, -1)) bus.recordLogs(name)
  t.record('large', { length: bus.logs('large').length, rest: bus.logs('large').replace(/x+/, 'x') })
  t.record('log:PM2', bus.packets.filter(({ topic, packet }) => topic === 'log:PM2' && packet.data.includes('[plain:')).map(({ packet: { at, ...rest } }) => ({ at: typeof at, ...rest })))
}
