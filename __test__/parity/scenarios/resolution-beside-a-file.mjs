// Options beside a file with several apps: which apps are started, and what becomes of them.
import fs from 'node:fs'

const apps = [
  { name: 'one', script: 'alive.js', env: { A: 'base' }, env_production: { A: 'production' }, append_env_to_name: true },
  { name: 'two', script: './other.js', namespace: 'own', watch: ['sub'], instances: 2, exec_mode: 'fork' },
  { name: 'three', script: 'alive.js', cwd: 'sub/..', uid: 1, instances: 1, env_production: { A: 'production' }, env_test: { A: 'test' } },
  { script: 'instance.js', name_prefix: 'ignored', ignore_watch: ['x'] },
  { name: 'pre:five', script: 'alive.js' }
]
const beside = {
  nothing: {}, production: { env: 'production' }, test: { env: 'test' }, 'unknown environment': { env: 'nothing' }, 'empty environment': { env: '' },
  'only one': { only: 'one' }, 'only two': { only: 'one,two' }, 'only two, blanks': { only: 'one two' }, 'only two, comma and blank': { only: 'one, two' }, 'only unknown': { only: 'nope' }, 'only some unknown': { only: 'nope,three' }, 'only half a name': { only: 'tw' },
  'only twice': { only: 'one,one' }, 'only and an environment': { only: 'one', env: 'production' }, 'only the rendered name': { only: 'one-production', env: 'production' }, 'only a list': { only: ['one', 'two'] }, 'only nothing': { only: '' },
  namespace: { namespace: 'given' }, prefix: { name_prefix: 'pre' }, 'prefix and only': { name_prefix: 'pre', only: 'one' }, 'prefix and only prefixed': { name_prefix: 'pre', only: 'pre:one' }, 'prefix and environment': { name_prefix: 'pre', env: 'production' }, 'prefix in a name': { name_prefix: 'on' },
  instances: { instances: 2 }, 'instances 0': { instances: 0 }, 'instances as text': { instances: '2' }, 'instances max': { instances: 'max' }, 'instances -1': { instances: -1 }, cwd: { cwd: 'sub' }, 'absolute cwd': { cwd: '/' }, 'missing cwd': { cwd: 'missing' },
  watch: { watch: true }, 'no watch': { watch: false }, 'watch a list': { watch: ['x'] }, 'ignore_watch': { ignore_watch: ['y'] }, uid: { uid: 2 }, 'uid and gid': { uid: 2, gid: 2 }, 'uid by name': { uid: 'daemon' }, 'uid 0': { uid: 0 },
  several: { only: 'two', namespace: 'given', name_prefix: 'p', env: 'production', instances: 1, watch: true, cwd: 'sub/..' }, 'options that do not act': { max_memory_restart: '1M', autorestart: false, args: 'x', name: 'x', merge_logs: false, time: true, kill_timeout: 1 }
}
const fields = ['name', 'namespace', 'exec_mode', 'instances', 'NODE_APP_INSTANCE', 'A', 'watch', 'ignore_watch', 'cwd', 'pm_cwd', 'pm_exec_path', 'uid', 'gid', 'pm_out_log_path', 'pm_pid_path', 'merge_logs', 'args', 'max_memory_restart', 'autorestart', 'append_env_to_name', 'name_prefix', 'kill_timeout']

export const limit = 90_000

export async function run(pm2, t) {
  fs.writeFileSync(t.cwd('several.json'), JSON.stringify({ apps: apps.map((app) => ({ autostart: false, ...app })) }))
  await pm2.connect()
  for (const [form, given] of Object.entries({ file: () => 'several.json', list: () => JSON.parse(t.read(t.cwd('several.json'))) })) {
    for (const [title, options] of Object.entries(beside)) {
      const { error, result } = await t.quiet.start(given(), { ...options })
      const all = (await t.all()).sort((a, b) => a.pm_id - b.pm_id)
      t.record(`${form}, ${title}`, {
        error: error ? [error].flat().map(({ message }) => message) : null,
        result: Array.isArray(result) ? result.length : null,
        apps: Object.fromEntries(all.map(({ pm_id: id, pm2_env: env }) => [`${env.name} ${env.NODE_APP_INSTANCE}`, picked(env, id)]))
      })
      if (all.length > 0) await t.quiet.delete('all')
    }
  }
}

function picked(env, id) {
  const given = fields.filter((field) => env[field] !== undefined)
  return Object.fromEntries(given.map((field) => [field, /_path$/.test(field) ? env[field].replace(`-${id}.`, '-<id>.') : env[field]]))
}
