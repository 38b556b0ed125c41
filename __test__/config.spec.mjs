import { execFile, spawn } from 'node:child_process'
import { access, mkdir, mkdtemp, readFile, realpath, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { fakeNative } from './helpers/fake-native.mjs'

const require = createRequire(import.meta.url)
const { isConfigFile, loadConfig } = require('../lib/config.js')
const configPath = fileURLToPath(new URL('../lib/config.js', import.meta.url))
const evaluatePath = fileURLToPath(new URL('../lib/evaluate.cjs', import.meta.url))

test.beforeEach(async (t) => {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'pm2-rs-config-')))
  const write = async (name, text) => {
    const file = path.join(folder, name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, text)
    return file
  }
  const load = async (name, text) => {
    await write(name, text)
    return loadConfig(name, folder)
  }
  Object.assign(t.context, { folder, write, load })
})

test.afterEach.always((t) => rm(t.context.folder, { recursive: true }))

// ---- recognition

test('a configuration file is recognised by a part of its name', (t) => {
  for (const name of ['a.json', 'a.json5', 'x/a.yml', 'a.yaml', 'ecosystem.config.js', 'a.config.cjs', 'a.config.mjs']) {
    t.true(isConfigFile(name), name)
  }
  for (const name of ['app.js', 'ecosystem.js', 'a.config.ts', 'json', '0', 'all']) t.false(isConfigFile(name), name)
})

test('the first part that is found decides how a file is read', async (t) => {
  t.deepEqual(await t.context.load('a.config.js.json', '{a: 1}'), { a: 1 })
  t.deepEqual(await t.context.load('a.json.yml', '{a: 1 + 1}'), { a: 2 })
  t.deepEqual(await t.context.load('a.yml.config.js', 'a: 1'), { a: 1 })
  t.deepEqual(await t.context.load('a.config.js.bak', 'exports.a = 1'), { a: 1 })
})

test('a missing file is a file system error', async (t) => {
  for (const name of ['no.json', 'no.yml', 'no.yaml', 'no.config.js', 'no.config.cjs', 'no.config.mjs']) {
    await t.throwsAsync(loadConfig(name, t.context.folder), { code: 'ENOENT', message: /^ENOENT: no such file or directory, open/ }, name)
    await mkdir(path.join(t.context.folder, name))
    await t.throwsAsync(loadConfig(name, t.context.folder), { code: 'EISDIR' }, name)
  }
  await t.throwsAsync(loadConfig('no/where.json'), { message: "ENOENT: no such file or directory, open 'no/where.json'" })
})

test('a file that is too big is not read', async (t) => {
  for (const name of ['big.json', 'big.yml', 'big.config.js', 'big.config.mjs']) {
    await truncate(await t.context.write(name, ''), 16 * 1024 * 1024 + 1)
    await t.throwsAsync(loadConfig(name, t.context.folder), { name: 'RangeError', message: /big\.\S+ has 17 MiB, at most 16 MiB/ }, name)
  }
})

test('what a file gives is limited, too', async (t) => {
  const message = /many\.\S+ has 20 MiB, at most 16 MiB/
  await t.throwsAsync(t.context.load('many.json', '({ a: "x".repeat(20 * 1000 * 1000) })'), { message })
  await t.throwsAsync(t.context.load('many.config.js', 'exports.a = "x".repeat(20 * 1000 * 1000)'), { message })
  await t.throwsAsync(t.context.load('many.config.mjs', 'export const a = "x".repeat(20 * 1000 * 1000)'), { message })
})

test('any value of JSON is given', async (t) => {
  for (const value of [null, 0, 'text', true, [], {}, [null, ['a', { b: 1 }]]]) {
    const text = JSON.stringify(value)
    t.deepEqual(await t.context.load('value.json', text), value)
    t.deepEqual(await t.context.load('loose.json', `${text} // loose`), value)
    t.deepEqual(await t.context.load('value.yml', text), value)
    t.deepEqual(await t.context.load('value.config.js', `module.exports = ${text}`), value)
    t.deepEqual(await t.context.load('value.config.mjs', `export default ${text}`), value)
  }
  t.deepEqual(await t.context.load('empty.config.js', ''), {})
  t.deepEqual(await t.context.load('empty.config.mjs', ''), {})
  t.is(await t.context.load('empty.yml', ''), null)
})

test('the value is plain data of this realm, and keys called __proto__ are gone', async (t) => {
  const text = '{"a": {"b": [1]}, "__proto__": {"polluted": 1}, "c": {"__proto__": {"polluted": 2}, "d": 3}}'
  for (const [name, content] of [
    ['own.json', text],
    ['escaped.json', text.replaceAll('__proto__', '__pr\\u006fto__')],
    ['loose.json', `${text} // loose`],
    ['computed.json', text.replaceAll('"__proto__"', '["__proto__"]')],
    ['own.yml', text],
    ['own.config.js', `module.exports = JSON.parse(${JSON.stringify(text)})`],
    ['own.config.mjs', `export default JSON.parse(${JSON.stringify(text)})`]
  ]) {
    const value = await t.context.load(name, content)
    t.deepEqual(value, { a: { b: [1] }, c: { d: 3 } }, name)
    t.is(Object.getPrototypeOf(value), Object.prototype, name)
    t.is(Object.getPrototypeOf(value.c), Object.prototype, name)
    t.true(value.a.b instanceof Array, name)
    t.is(Object.assign({}, value, value.c).polluted, undefined, name)
    t.false(JSON.stringify(value).includes('polluted'), name)
  }
  t.is({}.polluted, undefined)
})

test('getters, toJSON and classes give their values', async (t) => {
  const code = `
    class Base { get args() { return ['inherited'] } get name() { return 'base' } }
    class App extends Base { constructor() { super(); this.script = 'a.js' } get name() { return 'app' } set name(_) {} run() {} }
    const shared = Object.create({ script: 'b.js' })
    const value = [new App(), shared, { get name() { return 'own' }, env: { DATE: new Date(0), NONE: undefined, RUN() {} } }]`
  const value = [
    { script: 'a.js', name: 'app', args: ['inherited'] },
    { script: 'b.js' },
    { name: 'own', env: { DATE: '1970-01-01T00:00:00.000Z' } }
  ]
  t.deepEqual(await t.context.load('class.config.js', `${code}\nmodule.exports = value`), value)
  t.deepEqual(await t.context.load('class.config.mjs', `${code}\nexport default value`), value)
})

test('functions, promises and nothing at all are refused', async (t) => {
  const refusal = (kind) => ({ instanceOf: TypeError, message: new RegExp(`gives ${kind}; it must give the apps themselves`) })
  for (const [value, kind] of [
    ['() => ({ apps: [] })', 'a function'],
    ['async () => ({ apps: [] })', 'a function'],
    ['class {}', 'a function'],
    ['Promise.resolve({ apps: [] })', 'a promise'],
    ['Promise.reject(new Error("nobody waits for this"))', 'a promise'],
    ['({ then(done) { done({}) } })', 'a promise'],
    ['undefined', 'nothing'],
    ['Symbol("x")', 'a symbol']
  ]) {
    await t.throwsAsync(t.context.load('value.config.js', `module.exports = ${value}`), refusal(kind), value)
    await t.throwsAsync(t.context.load('value.config.mjs', `export default ${value}`), refusal(kind), value)
    await t.throwsAsync(t.context.load('value.json', value), refusal(kind), value)
  }
  for (const name of ['cycle.config.js', 'cycle.config.cjs']) {
    await t.throwsAsync(t.context.load(name, 'exports.self = exports'), { instanceOf: TypeError, message: /circular structure/ })
  }
  await t.throwsAsync(t.context.load('big.config.mjs', 'export const n = 10n'), { instanceOf: TypeError, message: /BigInt/ })
})

// ---- JSON

test('JSON may be any JavaScript expression', async (t) => {
  const text = "// apps\n{apps: [{name: 'a', script: `./a.js`, /* none */ args: ['1'],},],} // end"
  t.deepEqual(await t.context.load('loose.json', text), { apps: [{ name: 'a', script: './a.js', args: ['1'] }] })
  t.deepEqual(await t.context.load('strict.json', '\uFEFF{"script":"a.js"}'), { script: 'a.js' })
  t.deepEqual(await t.context.load('lines.json5', '{\r\n\t// a\r\n\tn: +0x10,\r\n}\r\n'), { n: 16 })
})

test('an expression sees nothing of this process, nor of what evaluates it', async (t) => {
  for (const name of ['process', 'require', 'module', 'evaluate', 'portrait', 'packed', 'answering']) {
    const error = await t.throwsAsync(t.context.load('curious.json', `{script: ${name}}`), { instanceOf: ReferenceError })
    t.true(error.message.startsWith(`${name} is not defined`), error.message)
  }
  const escape = 'this.constructor.constructor("return process")()'
  await t.throwsAsync(t.context.load('escape.json', escape), { message: /process is not defined/ })
})

test('an expression that takes longer than a second is ended, wherever it spends its time', async (t) => {
  const endless = 'for (;;);'
  for (const text of [
    `(() => { ${endless} })()`,
    `{ get a() { ${endless} } }`,
    `{ toJSON() { ${endless} } }`,
    `(() => { throw { get message() { ${endless} } } })()`
  ]) {
    const error = await t.throwsAsync(t.context.load('endless.json', text), { code: 'PM2_CONFIG_TIMEOUT' }, text)
    t.is(error.message, `the configuration file ${t.context.folder}/endless.json did not finish within 1 s`)
  }
})

test('an error of an expression is an Error here, with the place in the file', async (t) => {
  const text = '{\n  name: (() => { throw Object.assign(new RangeError("mine"), { code: "E_MINE" }) })()\n}'
  const error = await t.throwsAsync(t.context.load('throws.json', text), { instanceOf: RangeError, message: 'mine', code: 'E_MINE' })
  t.regex(error.stack, /^RangeError: mine\n +at .*\/throws\.json:2:\d+\n/)
})

// ---- YAML

test('YAML has the types of its core schema, anchors and merge keys', async (t) => {
  const text = [
    'base: &base { script: a.js, instances: 2, yes: yes }',
    'apps:',
    '  - <<: *base',
    '    name: a',
    '    instances: 0x10',
    '    env: { A: 1.5, B: ~, C: true, D: "1" }',
    '    text: |',
    '      one',
    '      two',
    ''
  ]
  const base = { script: 'a.js', instances: 2, yes: 'yes' }
  const app = { ...base, name: 'a', instances: 16, env: { A: 1.5, B: null, C: true, D: '1' }, text: 'one\ntwo\n' }
  for (const end of ['\n', '\r\n']) {
    t.deepEqual(await t.context.load('a.yml', text.join(end)), { base, apps: [app] })
    t.deepEqual(await t.context.load('a.yaml', `\uFEFF${text.join(end)}`), { base, apps: [app] })
  }
})

// ---- CommonJS

test('CommonJS files are evaluated anew each time, what they require is not', async (t) => {
  await t.context.write('sibling.js', 'exports.name = "first"')
  for (const name of ['a.config.js', 'b.config.cjs']) {
    const text = (n) => `module.exports = [require('./sibling').name, ${n}]`
    t.deepEqual(await t.context.load(name, text(1)), ['first', 1], name)
    await t.context.write('sibling.js', 'exports.name = "second"')
    t.deepEqual(await t.context.load(name, text(2)), ['first', 2], name)
  }
})

test('a CommonJS file has the surroundings of any module, in this process', async (t) => {
  globalThis.seenByConfig = []
  const text = `
    globalThis.seenByConfig.push(process)
    process.env.PM2_RS_TEST_CJS = 'set'
    const globals = Object.getOwnPropertyNames(globalThis)
    module.exports = { __filename, __dirname, main: require.main === module, self: this === exports, globals }`
  const before = Object.getOwnPropertyNames(globalThis)
  const { globals, ...seen } = await t.context.load('a.config.js', `#!/usr/bin/env node\n${text}`)
  t.deepEqual(seen, { __filename: path.join(t.context.folder, 'a.config.js'), __dirname: t.context.folder, main: false, self: true })
  t.deepEqual(globals, before)
  t.deepEqual(Object.getOwnPropertyNames(globalThis), before)
  t.is(globalThis.seenByConfig[0], process)
  t.is(process.env.PM2_RS_TEST_CJS, 'set')
  delete globalThis.seenByConfig
  delete process.env.PM2_RS_TEST_CJS
})

test('what a CommonJS file throws is thrown as it is', async (t) => {
  const text = '\nthrow globalThis.thrownByConfig = Object.assign(new TypeError("mine"), { code: "E" })'
  const error = await t.throwsAsync(t.context.load('a.config.js', text))
  t.is(error, globalThis.thrownByConfig)
  t.like(error, { name: 'TypeError', message: 'mine', code: 'E', file: undefined })
  t.true(error.stack.startsWith(`TypeError: mine\n    at Object.<anonymous> (${t.context.folder}/a.config.js:2:`), error.stack)
  delete globalThis.thrownByConfig
  const parsing = await t.throwsAsync(t.context.load('b.config.js', 'JSON.parse("{")'), { instanceOf: SyntaxError })
  t.is(parsing.file, undefined, 'its own text is no place in the file')
  const missing = await t.throwsAsync(t.context.load('c.config.js', 'require("./nowhere")'), { code: 'MODULE_NOT_FOUND' })
  t.true(missing.message.includes(`${t.context.folder}/c.config.js`))
})

test('a CommonJS file may use vm with a limit, and child processes', async (t) => {
  const text = `
    const vm = require('node:vm')
    const { execFileSync } = require('node:child_process')
    let code
    try { vm.runInNewContext('for (;;);', {}, { timeout: 20 }) } catch (error) { code = error.code }
    const text = execFileSync(process.execPath, ['-p', '7']).toString()
    module.exports = { code, text, sum: vm.runInNewContext('1 + 1', {}, { timeout: 1000 }) }`
  t.deepEqual(await t.context.load('a.config.js', text), { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT', sum: 2, text: '7\n' })
  const unlimited = 'try { require("node:vm").runInNewContext("for (;;);", {}, { timeout: 20 }) } finally { exports.a = 1 }'
  await t.throwsAsync(t.context.load('b.config.js', unlimited), { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' })
})

test('two files are read at once without disturbing each other', async (t) => {
  const names = Array.from({ length: 6 }, (_, n) => `n${n}.config.${['js', 'mjs', 'cjs'][n % 3]}`)
  const text = (name) => (name.endsWith('.mjs') ? `export const name = '${name}'` : `exports.name = '${name}'`)
  const values = await Promise.all(names.map((name) => t.context.load(name, text(name))))
  t.deepEqual(values, names.map((name) => ({ name })))
})

// ---- limits of time, which are set in the environment of this process

/** Runs `work` with another time limit. */
async function limited(limit, work) {
  process.env.PM2_RS_CONFIG_TIMEOUT = limit
  try {
    return await work()
  } finally {
    delete process.env.PM2_RS_CONFIG_TIMEOUT
  }
}

test.serial('CommonJS code that never ends is ended, and can be corrected and loaded again', async (t) => {
  await t.context.write('sibling.js', 'exports.half = 1\nfor (;;);')
  await t.context.write('done.js', 'exports.done = true')
  const before = Reflect.ownKeys(globalThis)
  await limited('200', async () => {
    for (const [name, text] of [
      ['loop.config.js', 'for (;;);'],
      ['catches.config.js', 'for (;;) try { for (;;); } catch {} finally { for (;;); }'],
      ['deep.config.cjs', "require('./done'); module.exports = require('./sibling')"],
      ['getter.config.js', 'module.exports = { get apps() { for (;;); } }'],
      ['inner.config.js', "require('node:vm').runInNewContext('for (;;);')"]
    ]) {
      const error = await t.throwsAsync(t.context.load(name, text), { code: 'PM2_CONFIG_TIMEOUT' }, name)
      t.is(error.message, `the configuration file ${t.context.folder}/${name} did not finish within 0.2 s`)
    }
  })
  t.deepEqual(Reflect.ownKeys(globalThis), before)
  t.deepEqual(Object.keys(require.cache).filter((name) => name.includes(t.context.folder) && !require.cache[name].loaded), [])
  await t.context.write('sibling.js', 'exports.whole = 1')
  t.deepEqual(await loadConfig('deep.config.cjs', t.context.folder), { whole: 1 })
})

test.serial('an ES module that never ends is ended', async (t) => {
  await limited('400', async () => {
    for (const [name, text] of [
      ['loop.config.mjs', 'for (;;);'],
      ['waits.config.mjs', 'setInterval(() => {}, 1000)\nawait new Promise(() => {})'],
      ['getter.config.mjs', 'export default { get apps() { for (;;); } }']
    ]) {
      const error = await t.throwsAsync(t.context.load(name, text), { code: 'PM2_CONFIG_TIMEOUT' }, name)
      t.is(error.message, `the configuration file ${t.context.folder}/${name} did not finish within 0.4 s`)
    }
  })
})

test.serial('a wrong limit is refused', async (t) => {
  const message = /^PM2_RS_CONFIG_TIMEOUT must be a number of milliseconds from 1 to 2147483647, not /
  for (const limit of ['soon', '0', '-1', '1.5', '2147483648', '1e3', ' 5']) {
    const load = () => t.context.load('a.config.js', '')
    await limited(limit, () => t.throwsAsync(load, { instanceOf: RangeError, message }, limit))
  }
  await limited('', async () => t.deepEqual(await t.context.load('a.config.js', ''), {}))
  await limited('2147483647', async () => t.deepEqual(await t.context.load('a.config.mjs', ''), {}))
})

test('an ES module that waits for what never happens ends at once', async (t) => {
  const error = await t.throwsAsync(t.context.load('a.config.mjs', 'await new Promise(() => {})'), { code: 'PM2_CONFIG_TIMEOUT' })
  t.is(error.message, `the configuration file ${t.context.folder}/a.config.mjs did not finish: it awaits what never happens`)
})

// ---- ES modules

test('an ES module gives its default export, or else all named ones', async (t) => {
  t.deepEqual(await t.context.load('a.config.mjs', 'export const apps = [1]\nexport const deploy = {}'), { apps: [1], deploy: {} })
  t.deepEqual(await t.context.load('b.config.mjs', 'export default { apps: [1] }'), { apps: [1] })
  t.deepEqual(await t.context.load('c.config.mjs', 'export const apps = [1]\nexport default [2]'), [2])
  t.is(await t.context.load('d.config.mjs', 'export const apps = [1]\nexport default null'), null)
})

test('ES modules are evaluated anew each time, with what they import', async (t) => {
  await t.context.write('sibling.mjs', 'export const name = "first"')
  await t.context.write('common.cjs', 'exports.kind = "first"')
  const text = (n) => `import { name } from './sibling.mjs'\nimport { kind } from './common.cjs'\nexport default [name, kind, ${n}]`
  t.deepEqual(await t.context.load('a.config.mjs', text(1)), ['first', 'first', 1])
  await t.context.write('sibling.mjs', 'export const name = "second"')
  await t.context.write('common.cjs', 'exports.kind = "second"')
  t.deepEqual(await t.context.load('a.config.mjs', text(2)), ['second', 'second', 2])
})

test('an ES module has the surroundings of any module and shares the environment', async (t) => {
  process.env.PM2_RS_TEST_GONE = 'here'
  const text = `
    import { setTimeout } from 'node:timers/promises'
    await setTimeout(5)
    process.env.PM2_RS_TEST_MJS = 'set'
    delete process.env.PM2_RS_TEST_GONE
    const late = await import('node:path')
    export default { url: import.meta.url, argv: process.argv, require: typeof require, module: typeof module, sep: late.sep }`
  const seen = await t.context.load('a b#ü.config.mjs', text)
  const url = String(new URL('a%20b%23%C3%BC.config.mjs', `file://${t.context.folder}/`))
  t.deepEqual(seen, { url, argv: process.argv, require: 'undefined', module: 'undefined', sep: path.sep })
  t.is(process.env.PM2_RS_TEST_MJS, 'set')
  t.is(process.env.PM2_RS_TEST_GONE, undefined)
  delete process.env.PM2_RS_TEST_MJS
})

test('the package says whether a .config.js is an ES module', async (t) => {
  const { load, write, folder } = t.context
  await write('module/package.json', '{"type":"module"}')
  await write('commonjs/package.json', '{"type":"commonjs"}')
  await write('silent/package.json', '{"name":"silent"}')
  await write('module/node_modules/inner/x.txt', '')
  const esm = 'export default "esm"'
  const cjs = 'module.exports = "cjs"'
  t.is(await load('module/a.config.js', esm), 'esm')
  t.is(await load('module/deep/er/a.config.js', esm), 'esm')
  t.is(await load('module/a.config.cjs', cjs), 'cjs')
  t.is(await load('module/node_modules/inner/a.config.js', cjs), 'cjs')
  t.is(await load('commonjs/a.config.js', cjs), 'cjs')
  t.is(await load('commonjs/a.config.mjs', esm), 'esm')
  t.is(await load('silent/a.config.js', cjs), 'cjs')
  await t.throwsAsync(load('module/b.config.js', cjs), { instanceOf: ReferenceError, message: /^module is not defined in ES module scope/ })
  await t.throwsAsync(load('commonjs/b.config.js', esm), { instanceOf: SyntaxError, message: /^Unexpected token 'export'/ })
  await symlink(path.join(folder, 'module/a.config.js'), path.join(folder, 'commonjs/link.config.js'))
  t.is(await loadConfig('commonjs/link.config.js', folder), 'esm')
})

test('where no package says it, the syntax does, as in the Node that runs it', async (t) => {
  const detects = process.features.require_module === true
  for (const text of [
    'export default "esm"',
    'import path from "node:path"\nexport default path.basename("esm")',
    'export default await "esm"'
  ]) {
    const loading = t.context.load('a.config.js', text)
    if (detects) t.is(await loading, 'esm', text)
    else await t.throwsAsync(loading, { instanceOf: SyntaxError }, text)
  }
})

test('what an ES module throws arrives with name, message, code and stack', async (t) => {
  const failure = (name, text, expected) => t.throwsAsync(t.context.load(name, text), expected)
  const error = await failure('a.config.mjs', '\nthrow Object.assign(new TypeError("mine"), { code: "E", detail: 7 })', {
    instanceOf: TypeError
  })
  t.like(error, { name: 'TypeError', message: 'mine', code: 'E', detail: 7 })
  t.regex(error.stack, /^TypeError: mine\n +at .*a\.config\.mjs:2:/)
  t.notRegex(error.stack, /data:/)
  const own = await failure('b.config.mjs', 'class Own extends Error { name = "Own" }\nthrow new Own("mine")')
  t.like(own, { name: 'Own', message: 'mine' })
  t.regex(own.stack, /b\.config\.mjs:2:/)
  const missing = /nowhere\.mjs' imported from/
  await failure('c.config.mjs', 'import "./nowhere.mjs"', { code: 'ERR_MODULE_NOT_FOUND', message: missing })
  await failure('d.config.mjs', 'import fs from "node:fs"\nfs.readFileSync("/nowhere")', { code: 'ENOENT', message: /^ENOENT/ })
  const waits = 'setInterval(() => {}, 1000)\nawait new Promise(() => {})'
  const late = `setTimeout(() => { throw new RangeError("late") })\n${waits}`
  await failure('e.config.mjs', late, { instanceOf: RangeError, message: 'late' })
  const unheard = `Promise.reject(new RangeError("unheard"))\n${waits}`
  await failure('f.config.mjs', unheard, { instanceOf: RangeError, message: 'unheard' })
  await failure('g.config.mjs', 'process.exit(3)', {
    message: `the configuration file ${t.context.folder}/g.config.mjs called process.exit(3)`
  })
})

test('an ES module neither loses what it writes nor keeps this process alive', async (t) => {
  const text = `
    import fs from 'node:fs'
    for (let n = 0; n < 200; n++) console.log('out ' + n)
    console.error('error')
    setInterval(() => {}, 1000)
    export default 'loaded'`
  const file = await t.context.write('a.config.mjs', text)
  const code = 'require(process.argv[1]).loadConfig(process.argv[2]).then((value) => { process.exitCode = value === "loaded" ? 0 : 1 })'
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', code, configPath, file])
  t.is(stdout, Array.from({ length: 200 }, (_, n) => `out ${n}\n`).join(''))
  t.is(stderr, 'error\n')
})

// ---- places

test('text that cannot be parsed names its place', async (t) => {
  const { load, write, folder } = t.context
  await write('module/package.json', '{"type":"module"}')
  await write('broken.js', '\n\nlet a b')
  await write('broken.mjs', '\n  let a b')
  await write('between.mjs', "export * from './broken.mjs'")
  await write('fine.mjs', 'export const a = 1')
  for (const [name, text, line, column, kind = 'SyntaxError', file = name] of [
    ['first.json', '}', 1, 1],
    ['column.json', '{"a": 1 "b": 2}', 1, 9],
    ['line.json', '{\n  // a\n  "a": 1\n  "b": 2\n}', 4, 3],
    ['crlf.json', '{\r\n  "a": 1\r\n  "b": 2\r\n}', 3, 3],
    ['tab.json', '{\n\t"a": 1\n\t"b": é "c"\n}', 3, 2],
    ['mark.json', '\uFEFF{"a": 1 "b": 2}', 1, 9],
    ['wide.json', '{"𝒳é": "日本" "b": 2}', 1, 14],
    ['long.json', `{"a": "${'x'.repeat(5000)}" "b": 2}`, 1, 5010],
    ['open.json', '{\n  "a": [1,\n  2', 3, 4],
    ['quote.json', '{ "a": "b }\n', 1, 8],
    ['empty.json', '', 1, 1],
    ['blank.json', ' \n\n', 3, 1],
    ['binary.json', '\0\x01\xff', 1, 1],
    ['word.json', '{\n  "a": word }', 2, 8, 'ReferenceError'],
    ['map.yml', 'apps:\n  - name: a: b\n', 2, 12, 'YAMLException'],
    ['alias.yaml', 'a: *nowhere', 1, 4, 'YAMLException'],
    ['column.config.js', 'module.exports = {\n  a: 1 b: 2\n}', 2, 8],
    ['crlf.config.js', 'module.exports = {\r\n\ta: 1 b: 2\r\n}', 2, 7],
    ['end.config.cjs', 'module.exports = [', 1, 19],
    ['null.config.cjs', 'exports.a = \0', 1, 13],
    ['first.config.cjs', 'module.exports = )', 1, 18],
    ['hash.config.cjs', '#!/usr/bin/env node\nmodule.exports = )', 2, 18],
    ['open.config.cjs', 'module.exports = {\n', 2, 1],
    ['long.config.cjs', `module.exports = ["${'x'.repeat(5000)}" 1]`, 1, 5022],
    ['binary.config.cjs', '\0\x01', 1, 1],
    ['sibling.config.cjs', "require('./broken')", 3, 7, 'SyntaxError', 'broken.js'],
    ['column.config.mjs', 'export default {\n  a: 1 b: 2\n}', 2, 8],
    ['tab.config.mjs', '\texport default )', 1, 17],
    ['open.config.mjs', 'export default {\n', 2, 1],
    ['end.config.mjs', 'export default [', 1, 17],
    ['await.config.mjs', 'await 1\nexport default )', 2, 16],
    ['module/column.config.js', 'export default {\n  a: 1 b: 2\n}', 2, 8],
    ['export.config.mjs', "import {\n  b } from './fine.mjs'", 2, 3],
    ['sibling.config.mjs', "import './fine.mjs'\nimport './broken.mjs'", 2, 9, 'SyntaxError', 'broken.mjs'],
    ['deep.config.mjs', "import './between.mjs'", 2, 9, 'SyntaxError', 'broken.mjs'],
    ['late.config.mjs', "await import('./broken.js')", 3, 7, 'SyntaxError', 'broken.js']
  ]) {
    const error = await t.throwsAsync(load(name, text), { any: true }, name)
    const where = `${folder}/${file}`
    t.is(error.name, kind, name)
    t.like(error, { file: where, line, column }, `${name}: ${error.message}`)
    t.true(error.message.endsWith(` (${where}:${line}:${column})`), `${name}: ${error.message}`)
    t.false(error.message.slice(0, -where.length).includes(where), `${name}: ${error.message}`)
    if (kind !== 'YAMLException') t.true(error.stack.includes(where), `${name}: ${error.stack}`)
    t.false(error.stack.includes('data:'), `${name}: ${error.stack}`)
  }
})

test('the place is absolute, also for a file that was given relative to the working directory', async (t) => {
  const file = await t.context.write('a.json', '}')
  const relative = path.relative(process.cwd(), file)
  t.like(await t.throwsAsync(loadConfig(relative), { any: true }), { file, line: 1, column: 1 })
})

// ---- as a program of its own

/** Runs the text as the executable does. `reply` is what came on descriptor 3. */
async function run(args, { env = {}, text } = {}) {
  const source = await readFile(evaluatePath, 'utf8')
  const child = spawn(process.execPath, ['-e', source, '--', ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe']
  })
  child.stdin.end(text)
  const read = async (stream) => Buffer.concat(await stream.toArray()).toString()
  const [stdout, stderr, reply, code] = await Promise.all([
    read(child.stdout),
    read(child.stderr),
    read(child.stdio[3]),
    new Promise((resolve) => child.once('exit', resolve))
  ])
  return { stdout, stderr, code, lines: reply.split('\n'), reply: JSON.parse(reply) }
}

test('the program needs nothing but Node', async (t) => {
  const source = await readFile(evaluatePath, 'utf8')
  const required = Array.from(source.matchAll(/\brequire\(([^)]*)\)/g), ([, name]) => name)
  t.true(required.length > 0)
  for (const name of required) t.regex(name, /^'node:[a-z/_]+'$/)
})

test('the program gives value and environment in one line', async (t) => {
  const code = 'process.env.SET = "1"\ndelete process.env.GONE\nconsole.log("out")\nconsole.error("error")\nsetInterval(() => {}, 1000)\n'
  for (const [name, text] of [
    ['a.config.js', `${code} module.exports = { argv: process.argv.slice(1), text: 'a\\nb' }`],
    ['b.config.mjs', `${code} export default { argv: process.argv.slice(1), text: 'a\\nb' }`]
  ]) {
    const file = await t.context.write(name, text)
    const env = { GONE: '1', KEPT: 'k' }
    const first = await run(['module', file], { env })
    t.like(first, { code: 0, stdout: 'out\n', stderr: 'error\n' })
    t.is(first.lines.length, 2)
    t.is(first.lines[1], '')
    t.deepEqual(first.reply.value, { argv: [file], text: 'a\nb' })
    t.like(first.reply.env, { KEPT: 'k', SET: '1', PATH: process.env.PATH, GONE: undefined })
    const second = await run(['module', file, '/bin/pm2', 'start', '--only', 'a b'], { env })
    t.deepEqual(second.reply.value.argv, ['/bin/pm2', 'start', '--only', 'a b'])
  }
})

test('the program evaluates expressions and leaves standard input to the file', async (t) => {
  const expression = await t.context.write('a.json', '{ a: 1, } // one')
  t.deepEqual((await run(['expression', expression])).reply.value, { a: 1 })
  const big = await t.context.write('big.json', '{ a: "x".repeat(5000000) }')
  t.is((await run(['expression', big])).reply.value.a.length, 5_000_000)
  const reader = await t.context.write('b.config.js', "module.exports = require('node:fs').readFileSync(0, 'utf8')")
  t.is((await run(['module', reader], { text: 'typed' })).reply.value, 'typed')
})

test('the program gives every failure as an error', async (t) => {
  const { folder, write } = t.context
  const message = (name, rest) => `the configuration file ${folder}/${name} ${rest}`
  const short = { PM2_RS_CONFIG_TIMEOUT: '300' }
  for (const [name, text, expected, env] of [
    ['a.json', '{ a: 1 b }', { name: 'SyntaxError', file: `${folder}/a.json`, line: 1, column: 8 }],
    ['b.config.js', 'let a b', { name: 'SyntaxError', file: `${folder}/b.config.js`, line: 1, column: 7 }],
    ['c.config.mjs', 'let a b', { name: 'SyntaxError', file: `${folder}/c.config.mjs`, line: 1, column: 7 }],
    ['d.config.js', 'throw Object.assign(new TypeError("mine"), { code: "E" })', { name: 'TypeError', message: 'mine', code: 'E' }],
    ['e.config.mjs', 'throw Object.assign(new TypeError("mine"), { code: "E" })', { name: 'TypeError', message: 'mine', code: 'E' }],
    ['f.config.js', 'throw "text"', { name: 'Error', message: 'text' }],
    ['g.config.js', 'throw null', { name: 'Error', message: 'Unidentified error' }],
    ['h.config.js', 'for (;;);', { code: 'PM2_CONFIG_TIMEOUT', message: message('h.config.js', 'did not finish within 0.3 s') }, short],
    ['i.config.mjs', 'for (;;);', { name: 'Error', code: 'PM2_CONFIG_TIMEOUT' }, short],
    ['j.config.js', 'process.exit(4)', { name: 'Error', message: message('j.config.js', 'called process.exit(4)') }],
    ['k.config.js', 'module.exports = () => {}', { name: 'TypeError', message: message('k.config.js', 'gives a function; it must give the apps themselves') }]
  ]) {
    const { code, lines, reply } = await run([name.includes('.json') ? 'expression' : 'module', await write(name, text)], { env })
    t.is(code, 0, name)
    t.is(lines.length, 2, name)
    t.deepEqual(Object.keys(reply), ['error'], name)
    t.like(reply.error, expected, name)
    if (name !== 'f.config.js' && name !== 'g.config.js') t.is(typeof reply.error.stack, 'string', name)
  }
  const missing = await run(['module', path.join(folder, 'nowhere.config.js')])
  t.like(missing.reply.error, { code: 'ENOENT', message: `ENOENT: no such file or directory, open '${folder}/nowhere.config.js'` })
})

test('a process that a file starts does not hold the reply open', async (t) => {
  const text = `
    const { spawn } = require('node:child_process')
    module.exports = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' }).pid`
  const { reply } = await run(['module', await t.context.write('a.config.js', text)])
  process.kill(reply.value)
  t.pass()
})

// ---- the module

test('nothing of it is loaded before a file is read', async (t) => {
  const code = `
    require(process.argv[1])
    const loaded = process.moduleLoadList.filter((name) => /^NativeModule (worker_threads|inspector|child_process)$/.test(name))
    console.log(JSON.stringify([Object.keys(require.cache).map((name) => require('path').basename(name)), loaded]))`
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', code, configPath])
  t.deepEqual(JSON.parse(stdout), [['config.js'], []])
})

test('whatever a configuration file throws reaches the caller as an Error', async (t) => {
  const { API } = require('../lib/api.js')
  const pm2 = new API({ pm2_home: '/nowhere', cwd: t.context.folder }, fakeNative().native)
  for (const [thrown, message] of [
    ['"text"', 'text'],
    ['undefined', 'Unidentified error'],
    ['null', 'Unidentified error'],
    ['42', '42'],
    ['Symbol("mine")', 'Symbol(mine)'],
    ['Object.create(null)', 'Unidentified error'],
    ['{ message: "mine" }', 'mine'],
    ['new RangeError("mine")', 'mine']
  ]) {
    await t.context.write('throws.config.js', `throw ${thrown}`)
    await t.context.write('throws.config.mjs', `throw ${thrown}`)
    await t.context.write('throws.json', `(() => { throw ${thrown} })()`)
    for (const name of ['throws.config.js', 'throws.config.mjs', 'throws.json']) {
      const error = await new Promise((resolve) => pm2.start(name, resolve))
      t.true(error instanceof Error, `${name} ${thrown}`)
      t.is(error.message, message, `${name} ${thrown}`)
      await t.throwsAsync(pm2.start(name), { message })
    }
  }
})
