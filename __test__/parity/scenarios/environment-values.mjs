// Values and names of variables, in both forms of start.
import { recordStarts, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

const cases = {
  nothing: {},
  text: { TEXT: 'bar', EMPTY: '', BLANK: ' ', TRAILING: 'x ' },
  numbers: { ZERO: 0, ONE: 1, MINUS: -1, FLOAT: 1.5, BIG: 1e21, SMALL: 1e-7, SAFE: 9007199254740991 },
  'no numbers': { NAN: NaN, INFINITE: Infinity },
  switches: { YES: true, NO: false },
  nothings: { NULL: null, UNDEFINED: undefined },
  objects: { OBJECT: { a: 1, b: { c: [2] } }, LIST: [1, 'x', null], EMPTY_OBJECT: {}, EMPTY_LIST: [] },
  'odd names': { 'a b': '1', 'a-b': '2', 'a.b': '3', 'a/b': '4', '1st': '5', 'grün': '6', lower: '7', _: '8', 'a:b': '9', '@scope/x': '10', __: '11' },
  utf8: { UTF: 'grüße 日本 🎉', COMBINED: 'e\u0301' },
  lines: { LINES: 'one\ntwo\n', TAB: '\t', RETURN: 'a\r\nb', QUOTES: `"it's"`, BACKSLASH: '\\n', DOLLAR: '$HOME ${HOME} `x`', EQUALS: 'a=b=c', ESCAPE: '\u001b[31m' },
  long: { LONG: 'x'.repeat(20_000) },
  many: Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`V${n}`, String(n)])),
  'over inherited': { FROM_CALLER: 'own', HOME: '/own', PATH: '/usr/bin', USER: 'own', LANG: '' },
  'words that mean something': { NODE_ENV: 'production', NODE_OPTIONS: '--no-warnings', LD_LIBRARY_PATH: '/x', PWD: '/x', SHLVL: '9', NODE_PATH: '/y', PROCESS_TITLE: 'x', TZ: 'CET' },
  "pm2's own": { PM2_HOME: '/other', PM2_PROGRAMMATIC: 'no', PM2_USAGE: 'CLI', PM2_JSON_PROCESSING: 'x', unique_id: 'mine', PM2_SILENT: 'true', NODE_APP_INSTANCE: '7' },
}

export async function run(pm2, t) {
  await pm2.connect()
  const caller = { FROM_CALLER: 'yes', CALLER_EMPTY: '', CALLER_UTF: 'ü\nß', 'caller.dots': 'x' }
  const title = (name) => name.replaceAll(/\W/g, '-')
  const object = Object.entries(cases).map(([name, env]) => [`object: ${name}`, { caller, start: [sleeper({ name: `o-${title(name)}`, env })] }])
  const script = Object.entries(cases).map(([name, env]) => [`script: ${name}`, { caller, start: sleeperScript({ name: `s-${title(name)}`, env }) }])
  await recordStarts(t, Object.fromEntries([...object, ...script]))
}
