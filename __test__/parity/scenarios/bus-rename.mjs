// An app that gives itself another name, as modules do.
import { followAll, speaker } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  const messages = [{ type: 'axm:option:configuration', data: { name: 'new name', isModule: false, own: 1 } }, { type: 'end', data: 1 }]
  for (const [mode, options] of Object.entries({ fork: {}, cluster: { exec_mode: 'cluster' } })) {
    await bus.start(speaker(mode, messages, options))
    await t.until('it has another name', () => bus.packets.filter(({ topic }) => topic === 'end').length === (mode === 'fork' ? 1 : 2))
  }
  const shown = async () => (await t.all()).slice(1).map(({ name, pm_id, pm2_env: { name: inside, axm_options: { name: option, own, isModule } } }) => ({ name, pm_id, inside, option, own, isModule }))
  t.record('renamed', await shown())
  await t.quiet.restart(1)
  await t.until('it is renamed again', () => bus.packets.filter(({ topic }) => topic === 'end').length === 3)
  t.record('restarted', await shown())
  await bus.record('fork', 'cluster', 'new name')
}
