// Every shape of a configuration file. The other scenarios of configuration files start theirs as this one does.
import { describeError } from '../lib/recorder.mjs'

const options = [
  'status', 'namespace', 'pm_exec_path', 'pm_cwd', 'args', 'node_args', 'exec_mode', 'exec_interpreter', 'instances', 'autostart',
  'autorestart', 'max_restarts', 'restart_delay', 'min_uptime', 'max_memory_restart', 'kill_timeout', 'stop_exit_codes', 'merge_logs',
  'pm_out_log_path', 'pm_err_log_path', 'log_date_format', 'unknown_option',
]

export async function run(pm2, t) {
  await pm2.connect()
  await startEach(t, [
    'json/plain.json', 'json/array.json', 'json/object.json', 'json/single.json', 'json/pm2.json', 'json/pm2-list.json', 'json/package.json',
    'json/apps-and-pm2.json', 'json/empty-list.json', 'json/empty-object.json', 'json/same-names.json', 'json/nameless.json',
    'json/null.json', 'json/number.json', 'json/string.json', 'json/true.json', 'json/strings.json', 'json/apps-string.json',
    'json/apps-null.json', 'json/list-null.json', 'json/function.json',
  ])
  await startEach(t, ['json/environments.json', 'json/deploy.json'], { env: 'production' })
  await startEach(t, ['json/environments.json', 'json/deploy.json'], { env: 'staging' })
  await startEach(t, ['json/environments.json', 'json/deploy.json'], { env: 'unknown' })
  await startEach(t, ['json/deploy.json', 'json/static.json', 'json/options.json', 'json/relative.json'])
  for (const only of ['web', 'api,worker', 'api web', 'nobody', '']) await startEach(t, ['json/several.json'], { only })
}

/**
 * Starts one file after the other and records the error, or what became of the apps, which are then deleted.
 *
 * The files say `autostart: false`, so that nothing is spawned. Their own variables are called `T_…`.
 *
 * @param files  paths below `fixtures/config`
 */
export async function startEach(t, files, startOptions) {
  for (const file of files) {
    const before = { ...process.env }
    const given = startOptions === undefined ? [] : [startOptions]
    const outcome = await t.quiet.with({ timeout: 3_000 }).start(`config/${file}`, ...given)
    restoreEnvironment(before)
    const apps = (await t.all()).map(shown)
    t.record([file, ...given.map((each) => JSON.stringify(each))].join(' '), { ...answer(outcome), apps })
    if (apps.length > 0) await t.quiet.delete('all')
  }
}

/** How a call ended, with the names in its answer. */
export function answer({ timeout, thrown, uncaught, error, result }) {
  if (timeout) return { outcome: 'never called back' }
  if (thrown) return { outcome: 'threw', error: describeError(thrown) }
  if (uncaught) return { outcome: 'uncaught exception', error: describeError(uncaught) }
  return { outcome: 'called back', error: describeError(error), result: result?.map?.((each) => each?.pm2_env?.name).sort() }
}

function shown({ name, pm2_env: app }) {
  const own = Object.entries(app).filter(([key]) => options.includes(key) || /^(T_|env_|PM2_SERVE_)/.test(key))
  const variables = Object.entries(app.env).filter(([key]) => /^T_/.test(key))
  return { name, ...Object.fromEntries(own), env: Object.fromEntries(variables) }
}

function restoreEnvironment(before) {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
  Object.assign(process.env, before)
}
