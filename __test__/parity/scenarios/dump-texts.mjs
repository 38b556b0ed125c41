// What is accepted as the text of a saved list.
import fs from 'node:fs'

const texts = {
  'one line': (entry) => `[${entry('a')}]`,
  'comments and trailing commas': (entry) => `// saved\n[ /* one */ ${entry('a')}, // two\n ${entry('b')}, ]\n`,
  'byte order mark': (entry) => `\ufeff[${entry('a')}]`,
  'parentheses': (entry) => `([${entry('a')}])`,
  'undefined and special numbers': (entry) => `[{...}]`.replace('{...}', entry('a').replace('{', '{x_undefined: undefined, x_nan: NaN, x_hex: 0x10, x_half: .5, 7: 8, ')),
  'quotes and escapes': (entry) => `[${entry('a').replace('{', "{'single': 'it\\'s', back: `two\nlines`, escaped: '\\x41\\u00e9\\u{1f40e}', ")}]`,
  'crlf': (entry) => `[\r\n${entry('a')},\r\n${entry('b')}\r\n]\r\n`,
  'doubled keys': (entry) => `[${entry('a').replace('{', '{twice: 1, twice: 2, ')}]`,
  'unknown keys': (entry) => `[${entry('a').replace('{', '{"future": {"deep": [1, null, {"x": "y"}]}, "odd key": null, ')}]`,
  'empty list': () => '[]',
  'a pm_id inside': (entry) => `[${entry('a').replace('{', '{"pm_id": 77, ')}]`,
  'instances inside': (entry) => `[${entry('a').replace('{', '{"instances": 2, ')}]`,
  'the same name twice': (entry) => `[${entry('a')}, ${entry('a')}]`,
  'status of a crash': (entry) => `[${entry('a').replace('"online"', '"errored"')}]`,
  'status of a waiting one': (entry) => `[${entry('a').replace('"online"', '"waiting restart"')}]`,
  'status unknown': (entry) => `[${entry('a').replace('"online"', '"nonsense"')}]`,
  'without status': (entry) => `[${entry('a').replace('"status":"online",', '')}]`,
  'not to be started by itself': (entry) => `[${entry('a').replace('{', '{"autostart": false, ')}]`
}

const fields = ['status', 'restart_time', 'created_at', 'NODE_APP_INSTANCE', 'instances', 'x_undefined', 'x_nan', 'x_hex', 'x_half', '7', 'single', 'back', 'escaped', 'twice', 'future', 'odd key', 'pm_out_log_path']

export const limit = 90_000

export async function run(pm2, t) {
  await pm2.connect()
  const entry = (name) => JSON.stringify({
    name, namespace: 'default', status: 'online', created_at: 1600000000000, restart_time: 5, env: { PATH: process.env.PATH, MINE: 'yes' },
    autorestart: true, merge_logs: true, vizion: false, treekill: true, pmx: false, kill_retry_time: 100, instance_var: 'NODE_APP_INSTANCE', NODE_APP_INSTANCE: 0, node_args: [],
    pm_exec_path: t.cwd('alive.js'), pm_cwd: t.cwd(), exec_interpreter: 'node', exec_mode: 'fork_mode',
    pm_out_log_path: t.home('logs', `${name}-out.log`), pm_err_log_path: t.home('logs', `${name}-error.log`), pm_pid_path: t.home('pids', `${name}.pid`)
  })
  for (const [name, text] of Object.entries(texts)) {
    fs.writeFileSync(t.home('dump.pm2'), text(entry))
    const { error, answered } = await t.quiet.resurrect()
    t.record(`resurrect ${name}`, { answered, error: error === null ? null : String(error) })
    const all = (await t.all()).sort((a, b) => `${a.name}${a.pm_id}`.localeCompare(`${b.name}${b.pm_id}`))
    t.record(`list ${name}`, all.map(({ name, pid, pm_id, pm2_env: env }) => ({ name, pid, pm_id, ...Object.fromEntries(fields.map((field) => [field, env[field]])) })))
    if (all.length > 0) await t.quiet.delete('all')
  }
}
