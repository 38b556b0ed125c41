// Actions, metrics and options that an app reports of itself, and how actions are triggered.
import { followAll, node } from '../lib/bus-cases.mjs'

export async function run(pm2, t) {
  await t.quiet.connect()
  const bus = await followAll(t)
  for (const [name, options] of Object.entries({ fork: {}, cluster: { exec_mode: 'cluster' }, third: { namespace: 'space' } })) {
    await bus.start({ ...node(name, 'actions.js'), ...options })
    await t.until(`${name} is up`, () => bus.count(name, 'up') === 1)
  }
  await bus.start(node('stopped', 'actions.js'))
  await t.until('it is up', () => bus.count('stopped', 'up') === 1)
  await t.quiet.stop('stopped')
  const own = ({ axm_actions, axm_monitor, axm_options }) => ({
    actions: axm_actions.filter(({ action_type: type }) => type === 'custom').map(({ action_name, arity }) => [action_name, arity]),
    monitor: axm_monitor.own,
    option: axm_options.own_option,
  })
  for (const name of ['fork', 'cluster', 'stopped']) t.record(`${name} says of itself`, own((await t.proc(name)).pm2_env))

  const remote = async (argument) => {
    const call = pm2.client.executeRemote('msgProcess', argument)
    await call
    await t.sleep(150)
  }
  await remote({ id: 1, msg: 'hello' })
  await remote({ id: 1, msg: 'hello', opts: { a: 1 } })
  await remote({ id: 2, msg: 'hello', opts: 'text' })
  await remote({ id: 2, msg: 'hello', uuid: 'u' })
  await remote({ id: 2, msg: 'hello', opts: 0, more: 1 })
  await remote({ id: '1', msg: 'quiet' })
  await remote({ id: 1, msg: 'nothing' })
  await remote({ id: 99, msg: 'hello' })
  await remote({ id: 4, msg: 'hello' })
  await remote({ id: 4, msg: 'nothing' })
  await remote({ name: 'all', msg: 'hello' })
  await remote({ name: 'fork', msg: 'hello', opts: 'x' })
  await remote({ name: 'space', msg: 'hello' })
  await remote({ name: 'actions.js', msg: 'quiet' })
  await remote({ name: 'stopped', msg: 'hello' })
  await remote({ name: 'fork', msg: 'nothing' })
  await remote({ name: 'nobody', msg: 'hello' })
  await remote({ msg: 'hello' })
  t.record('output of the action', (await t.proc('fork')).pm2_env.axm_actions.filter(({ action_type: type }) => type === 'custom').map(({ output }) => output ?? 'none'))

  await pm2.with({ as: 'trigger by id' }).trigger(1, 'hello')
  await pm2.with({ as: 'trigger by id text' }).trigger('2', 'hello', 'text')
  await pm2.with({ as: 'trigger by name' }).trigger('fork', 'hello', { a: [1] })
  await pm2.with({ as: 'trigger by namespace' }).trigger('space', 'hello')
  await pm2.with({ as: 'trigger unknown action' }).trigger(1, 'nothing')
  await pm2.with({ as: 'trigger unknown action by name' }).trigger('fork', 'nothing')
  await pm2.with({ as: 'trigger unknown id' }).trigger(99, 'hello')
  await pm2.with({ as: 'trigger unknown name' }).trigger('nobody', 'hello')
  const { result: replies } = await t.quiet.trigger('all', 'hello')
  t.record('trigger all', replies.map(({ data, process }) => ({ keys: Object.keys(data).sort(), return: data.return, process })).sort((a, b) => a.process.pm_id - b.process.pm_id))
  await bus.record('fork', 'cluster', 'third', 'stopped')
  for (const name of ['fork', 'cluster', 'third']) bus.recordLogs(name)
}
