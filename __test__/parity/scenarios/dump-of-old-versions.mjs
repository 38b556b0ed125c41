// Lists that older versions saved: the very old ones are no JSON, and have fields nobody writes any more.
import { captures, place } from '../../helpers/dumps.mjs'

const changing = /^(axm_.*|pm_uptime|pm_id|unique_id|node_version)$/
const withoutId = ({ pm_id: id, pm2_env: env }) => {
  const kept = Object.entries(env).filter(([name]) => !changing.test(name))
  // Which id a process gets depends on which of two parallel starts is first.
  return Object.fromEntries(kept.map(([name, value]) => [name, typeof value === 'string' ? value.replace(new RegExp(`-${id}\\.(log|pid)$`), '-<id>.$1') : value]))
}
const order = ({ name, pm2_env: env }) => `${name} ${env.NODE_APP_INSTANCE}`

export const limit = 90_000

export async function run(pm2, t) {
  await pm2.connect()
  for (const capture of captures.filter((name) => /^(0|1|2|4|7)\..*saved/.test(name))) {
    place(capture, t.home())
    const { error, answered } = await t.quiet.resurrect()
    t.record(`resurrect ${capture}`, { answered, error: error === null ? null : String(error) })
    await t.until('all are back', async () => (await t.all()).length === 9)
    await t.settled()
    const all = (await t.all()).sort((a, b) => order(a).localeCompare(order(b)))
    t.record(`list ${capture}`, all.map(({ name, pid, pm2_env: env }, at) => ({ name, running: pid > 0 && t.alive(pid), pm2_env: withoutId(all[at]), instance: env.NODE_APP_INSTANCE })))
    await t.quiet.delete('all')
  }
}
