// The app's own variables called like options and fields: the app sees them, the fields stay.
import { sleeper } from '../lib/environment-cases.mjs'

const variables = {
  name: 'other', namespace: 'other', kill_timeout: '900', max_restarts: '1', pm_id: '77', status: 'fine', instances: '4', restart_time: '5', merge_logs: 'false',
  unstable_restarts: '9', exit_code: '3', version: '9.9.9', instance_var: 'OTHER', pm_out_log_path: '/dev/null', treekill: 'false', username: 'other', node_version: '1', km_link: 'true', cron_restart: '0 0 1 1 *',
}

export async function run(pm2, t) {
  await pm2.connect()
  for (const [variable, value] of Object.entries(variables)) {
    const { error, result } = await t.quiet.start(sleeper({ name: `app-${variable}`, env: { [variable]: value } }))
    if (error) {
      t.record(variable, { error: String(error) })
      continue
    }
    const [{ pm2_env: app }] = result
    const proc = (await t.all()).at(-1)
    t.record(variable, { seen: t.environment(proc.pid)[variable] ?? null, field: app[variable], inEnv: app.env[variable], name: proc.name, id: proc.pm_id, status: proc.pm2_env.status })
    await t.quiet.delete('all')
  }
}
