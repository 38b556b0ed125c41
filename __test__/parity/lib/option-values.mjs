// The start options (options.json, written from the table in options.rs) and, for each kind, values worth trying:
// all accepted types, numeric text and units, everything falsy, and wrong types for the messages.
import fs from 'node:fs'

/** @type {Array<{name: string, aliases: string[], kind: string, unit: string|null, default: any, doc: string}>} */
export const options = JSON.parse(fs.readFileSync(new URL('../../options.json', import.meta.url), 'utf8'))

const falsy = [0, false, '', null, undefined]
const noText = [...falsy, 7, true, [], ['a'], {}]
const noNumber = [...falsy, ' ', 'abc', '1s', '5 5', true, [], ['x'], [1, 2], {}, { a: 1 }]
const noSwitch = [...falsy, 1, 'true', 'false', [], {}]
const numbers = [1, 250, -5, 2.5, '0', '1', ' 250 ', '-5', '1.5', '.5', '+3', '1e3', '0x10', '1_000', [5], ['5'], NaN, Infinity]

const byKind = {
  Text: ['text', 'two words', ' ', 'ünï', ...noText],
  TextOrNumber: ['text', 5, '5', ...noText],
  Switch: [true, ...noSwitch],
  SwitchOrText: [true, 'text', ...noSwitch],
  SwitchListOrText: [true, 'sub', 'a b', ['sub'], ['a', 'b c'], ...noSwitch],
  Number: [...numbers, ...noNumber],
  Count: [...numbers, ...noNumber],
  Size: [1024, 1.5, -1, '0', '1024', '100K', '100M', '2G', '0M', '100m', '1.5G', '100MB', ' 100M', '0x10', '1e3', [5], ...noNumber],
  Time: [1000, 99, 100, 100.5, -1, '0', '50', '1000', '2s', '3m', '1h', '0s', '1.5s', '1d', '2 s', '1e3', [500], ...noNumber],
  List: ['one', 'one two', ['one', 'two words', 5, true], [['deep']], ...noText],
  Array: [['one', 2], 'one', ...noText],
  ExitCodes: [42, '42', [42], ['42'], [42, 43], ['42', 43], ['x'], '42,43', 1.5, -1, ...noNumber],
  Object: [{ a: 1 }, { a: { b: [1] } }, 'text', ...noText],
  Rotation: [true, { max_size: '10M' }, 'text', ...noSwitch],
  Mode: ['fork', 'cluster', 'fork_mode', 'cluster_mode', 'Cluster', 'CLUSTER', 'threads', 'cluster ', ...noText],
  Scheduling: ['hybrid', 'rr', 'shared', 'none', 'RR', 'fair', ...noText],
}

const paths = ['own.log', 'sub/own.log', './own-2024.log', 'new/folder/own.txt', '/dev/null', 'NULL', 'null', '~/own.log', '../own.log']

/** Times at which to restart. */
export const cronPatterns = ['* * * * *', '*/5 * * * *', '0 0 * * 7', '0 0 3 * * *', '0 0 1 jan MON', '0 0 L * *', '? ? * * *', '2130-01-01T00:00:00']

// In addition to, or with `only` instead of, the values of the kind.
const byName = {
  script: { also: ['other.js', './other.js', 'sub/where.js', 'missing.js', 'sh', '/bin/sleep', 'binary.sh', 'loop.py', 'echo words', 'sub', '~'] },
  name: { also: ['with/slash', 'a.b.js', '5', '<id>', '-', 'name\nline'] },
  cwd: { also: ['sub', './sub/', '..', '/', 'missing', '~'] },
  exec_interpreter: { also: ['node', 'none', 'bash', 'python3', '/bin/sh', './loop.sh', 'missing-interpreter', '/missing/interpreter', 'node@20'] },
  node_args: { also: ['--no-warnings --title=x', "--title='x y'", ['--no-warnings']] },
  out_file: { also: paths },
  error_file: { also: paths },
  log_file: { also: paths },
  pid_file: { also: ['own.pid', 'sub/own', 'new/folder/own-7.pid', '/dev/null', '~/own.pid'] },
  filter_env: { also: ['SHELL', ['HEL'], ['HEL', 'LAN'], ['']] },
  log_date_format: { also: ['YYYY-MM-DD HH:mm:ss Z'] },
  log_type: { also: ['json', 'raw'] },
  env: { also: [{ A: '1', B: 2 }, { 'odd name': 'x' }] },
  // NaN, and [] which becomes NaN, end the daemon of npm pm2.
  instances: { only: [1, 2, 3, 0, -1, -5, 2.5, '1', '2', '0', '-1', '-5', 'max', 'MAX', ' max', 'foo', '2 ', [2], true, {}, false, '', null, undefined] },
  // A wrong pattern ends the daemon of npm pm2 in some spellings: see options-cron.
  cron_restart: { only: [...falsy, true, [], ['0 0 * * *'], {}, '0', ' 0 ', ...cronPatterns] },
  stop_exit_codes: { also: [['0']] },
  watch: { also: ['.', ['.', 'missing']] },
  watch_options: { also: [{ usePolling: true, interval: 500 }] },
  increment_var: { also: ['PORT', 'COUNTER'] },
  instance_var: { also: ['WORKER', 'NODE_APP_INSTANCE'] },
  pmx: { also: ['false', 'true'] },
  // True installs packages into npm pm2.
  trace: { only: [false, '', 0, null, undefined] },
  deep_monitoring: { only: [false, '', 0, null, undefined] },
}

/** @returns {any[]} values to try for an option, each once */
export function samples({ name, kind }) {
  const { also = [], only } = byName[name] ?? {}
  const found = new Map((only ?? [...also, ...byKind[kind]]).map((value) => [label(value), value]))
  return [...found.values()]
}

/** A value as text that tells `5` from `'5'` and NaN from null. */
export function label(value) {
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) return String(value)
  return JSON.stringify(value)
}

/** Two different values that are right for the option. */
export function twoValues({ name, kind }) {
  return pairByName[name] ?? pairByKind[kind]
}

const pairByKind = {
  Text: ['first', 'second'],
  TextOrNumber: ['first', 'second'],
  Switch: [true, true],
  SwitchOrText: ['first', 'second'],
  SwitchListOrText: ['first', 'second'],
  Number: [1000, 2000],
  Count: [1, 2],
  Size: ['1M', '2M'],
  Time: ['1s', '2s'],
  List: ['first', 'second'],
  Array: [['first'], ['second']],
  ExitCodes: [1, 2],
  Object: [{ a: 1 }, { b: 2 }],
  Rotation: [{ retain: 1 }, { retain: 2 }],
  Mode: ['cluster', 'fork'],
  Scheduling: ['rr', 'shared'],
}

const pairByName = {
  script: ['alive.js', 'other.js'],
  exec_interpreter: ['bash', 'python3'],
  cron_restart: ['1 1 1 1 *', '2 2 2 2 *'],
  trace: [false, false],
  deep_monitoring: [false, false],
}
