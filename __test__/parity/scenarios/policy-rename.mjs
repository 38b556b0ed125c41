// Another name or namespace at a restart: what the app is called afterwards, and what finds it.
import { outcome, sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const table = async () => (await t.all()).map(({ name, pm_id, pm2_env: env }) =>
    ({ name, env_name: env.name, pm_id, namespace: env.namespace, number: env.NODE_APP_INSTANCE, status: env.status, restarts: env.restart_time, out: env.pm_out_log_path, pid: env.pm_pid_path }))
  const call = async (name, ...[method, ...args]) => {
    t.record(`${name}: outcome`, outcome(await t.quiet[method](...args)))
    t.record(name, await table())
  }
  await t.quiet.start(sleeper('one', { namespace: 'first' }))
  await t.quiet.start(sleeper('two', { instances: 2, exec_mode: 'fork' }))
  await call('rename one', 'restart', 'one', { name: 'eins' })
  await call('the old name', 'restart', 'one')
  await call('the new name', 'restart', 'eins')
  await call('another namespace', 'restart', 'eins', { namespace: 'second' })
  await call('stop of the old namespace', 'stop', 'first')
  await call('stop of the new namespace', 'stop', 'second')
  await call('restart of the namespace', 'restart', 'second')
  await call('rename both', 'restart', 'two', { name: 'zwei' })
  await call('scale the new name', 'scale', 'zwei', 3)
  await call('a name that is taken', 'restart', 'eins', { name: 'zwei' })
  await call('stop of the shared name', 'stop', 'zwei')
  await call('delete of the shared name', 'delete', 'zwei')
  await call('through remote', 'start', sleeper('last'))
  const { result } = await t.quiet.client.executeRemote('restartProcessId', { id: (await t.all())[0].pm_id, env: { current_conf: { name: 'letzte', namespace: 'third' } } })
  t.record('answer', { name: result?.pm2_env?.name, namespace: result?.pm2_env?.namespace })
  t.record('renamed through remote', await table())
  await call('delete by namespace', 'delete', 'third')
}
