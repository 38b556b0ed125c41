'use strict'

// Evaluates one configuration file that needs a JavaScript engine. It needs nothing beside itself.
//
// As a module: `evaluateExpression`, `evaluateModule`, `plain`, `readText`, `withInherited`.
//
// As a program, its text given to `node -e` by the native executable:
//
//     node -e <this text> -- <expression|module> <absolute file> [argument…]
//
// The file sees `process.argv` as `[node, argument…]`, without arguments as `[node, file]`. Standard
// input, output and error are its own. One line of JSON is written to descriptor 3, which must not be
// set to non-blocking: `{"value": …, "env": {…}}` with the environment as the file left it, or
// `{"error": {"name", "message", "stack"?, "code"?, "file"?, "line"?, "column"?}}`. The exit code is 0.

const fs = require('node:fs/promises')
const path = require('node:path')

/** How long the expression in a `.json` file may run. */
const EXPRESSION_LIMIT_MS = 1000
/** How long a JavaScript file may run, unless `PM2_RS_CONFIG_TIMEOUT` says otherwise. */
const MODULE_LIMIT_MS = 30_000
const MOST_MS = 2 ** 31 - 1
/** Most bytes of a file, and most characters of what it gives as JSON text. */
const MOST_BYTES = 16 * 1024 * 1024
/** Most files that are looked through for the one with a syntax error. */
const MOST_IMPORTS = 50

/** The text of a file without byte order mark. */
async function readText(file) {
  const handle = await fs.open(file)
  try {
    const { size } = await handle.stat()
    if (size > MOST_BYTES) throw tooBig(file, size)
    const text = await handle.readFile('utf8')
    // A pipe has no size before it is read.
    if (text.length > MOST_BYTES) throw tooBig(file, text.length)
    return text.replace(/^\uFEFF/, '')
  } finally {
    await handle.close()
  }
}

function tooBig(file, size) {
  const [most, found] = [MOST_BYTES, size].map((bytes) => Math.ceil(bytes / 1024 / 1024))
  return new RangeError(`the configuration file ${file} has ${found} MiB, at most ${most} MiB are read`)
}

/** The value of a JavaScript expression, in a context of its own that knows nothing of this process. */
function evaluateExpression(text, file) {
  const vm = require('node:vm')
  // The text is the second line, which is made number 1, so that places in it are those in the file. What
  // it gives is turned into text there too, within the limit: getters and `toJSON` are code as well.
  const functions = [answering, packed, portrait].join('\n')
  const toText = `(evaluate) => {\n${functions}\nreturn answering(${JSON.stringify(file)}, evaluate) }`
  const parts = ['[() => (', text, `)].map(${toText})[0]`]
  let script
  try {
    script = new vm.Script(parts.join('\n'), { filename: file, lineOffset: -1 })
  } catch (error) {
    throw located(error, { file, ...placeByInspector(...parts) })
  }
  let answer
  try {
    answer = script.runInNewContext(Object.create(null), { timeout: EXPRESSION_LIMIT_MS })
  } catch (error) {
    throw error?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? tooSlow(file, EXPRESSION_LIMIT_MS) : error
  }
  try {
    return unpacked(answer, file)
  } catch (error) {
    // A word without quotes.
    throw error.name === 'ReferenceError' ? located(error, placeInFrames(error, file)) : error
  }
}

/** What a JavaScript file exports: `module.exports`, the default export, or else all named exports. */
async function evaluateModule(file) {
  const text = await readText(file)
  const absolute = path.resolve(file)
  const limit = moduleLimit()
  return (await isEsModule(absolute, text)) ? evaluateImport(absolute, limit) : evaluateRequire(absolute, limit)
}

function moduleLimit() {
  const given = process.env.PM2_RS_CONFIG_TIMEOUT
  if (!given) return MODULE_LIMIT_MS
  const limit = Number(given)
  if (/^\d+$/.test(given) && limit >= 1 && limit <= MOST_MS) return limit
  throw new RangeError(`PM2_RS_CONFIG_TIMEOUT must be a number of milliseconds from 1 to ${MOST_MS}, not "${given}"`)
}

// ---- CommonJS, in this thread: what the file does to this process is meant to last

/** Evaluates the file anew each time, as one that is edited between two starts expects. */
function evaluateRequire(file, limit) {
  // Seen from the program, not from here: that is how a missing module is reported.
  const load = require('node:module').createRequire(require.main?.filename ?? file)
  delete load.cache[load.resolve(file)]
  const loadedBefore = new Set(Object.keys(load.cache))
  let outcome
  const run = () => {
    try {
      outcome = { text: packed(file, load(file), withInherited) }
    } catch (thrown) {
      outcome = { thrown }
    }
  }
  underWatch(run, limit)
  if (outcome === undefined) {
    // No `finally` runs in what is cut off: Node still has the half-loaded modules.
    const half = Object.keys(load.cache).filter((name) => !loadedBefore.has(name) && !load.cache[name].loaded)
    for (const name of half) delete load.cache[name]
    throw tooSlow(file, limit)
  }
  if ('thrown' in outcome) throw located(outcome.thrown, placeIn(outcome.thrown))
  return unpacked(outcome.text, file)
}

/** Calls a function that V8 ends when it takes too long, whatever it calls in turn. */
function underWatch(run, timeout) {
  const { Script } = require('node:vm')
  // A script can only reach the function through the global object; it is gone from there when it runs.
  const key = `pm2-rs ${Math.random()}`
  const name = JSON.stringify(key)
  Object.defineProperty(globalThis, key, { value: run, configurable: true })
  try {
    new Script(`{ const run = globalThis[${name}]; delete globalThis[${name}]; run() }`).runInThisContext({
      timeout,
      displayErrors: false
    })
  } catch (error) {
    if (error?.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
  } finally {
    delete globalThis[key]
  }
}

// ---- ES modules, in a thread of their own: always fresh with all they import, and it can be ended

/** As Node decides it: by extension, by the nearest package.json, by the syntax. */
async function isEsModule(file, text) {
  const real = await fs.realpath(file)
  if (path.extname(real) === '.mjs') return true
  if (path.extname(real) !== '.js') return false
  const type = await packageType(path.dirname(real))
  return type === undefined ? hasModuleSyntax(text) : type === 'module'
}

/** `module`, `commonjs`, or undefined when the package does not say. */
async function packageType(folder) {
  for (;;) {
    const text = await fs.readFile(path.join(folder, 'package.json'), 'utf8').catch(() => undefined)
    if (text !== undefined) return typeIn(text)
    const parent = path.dirname(folder)
    if (parent === folder || path.basename(folder) === 'node_modules') return undefined
    folder = parent
  }
}

function typeIn(text) {
  try {
    const { type } = JSON.parse(text)
    return type === 'module' || type === 'commonjs' ? type : undefined
  } catch {
    // Node names the broken file when it loads the module.
    return undefined
  }
}

/** What V8 says of import, export, import.meta and await when it expects a script. */
const MODULE_SYNTAX = /import statement outside|Unexpected token 'export'|'import\.meta' outside|await is only valid/

function hasModuleSyntax(text) {
  const { Script } = require('node:vm')
  const { wrap } = require('node:module')
  try {
    new Script(wrap(text.replace(/^#!.*/, '')))
    return false
  } catch (error) {
    return MODULE_SYNTAX.test(error.message)
  }
}

async function evaluateImport(file, limit) {
  try {
    return unpacked(await importedText(file, limit), file)
  } catch (error) {
    if (error.name !== 'SyntaxError' || error.file !== undefined) throw error
    throw located(error, placeIn(error) ?? (hasFrames(error) ? undefined : await placeInModules(file)))
  }
}

/** The answer of a worker that imports the file. */
function importedText(file, limit) {
  const { SHARE_ENV, Worker } = require('node:worker_threads')
  const { href } = require('node:url').pathToFileURL(file)
  return new Promise((resolve, reject) => {
    // As a module of its own: the text of a worker that is evaluated would leave `require` on the global object.
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(importer())}`), {
      env: SHARE_ENV,
      workerData: { argv: process.argv, file, href }
    })
    const timer = setTimeout(() => settle(reject, tooSlow(file, limit)), limit)
    const settle = (deliver, value) => {
      clearTimeout(timer)
      worker.unref()
      worker.terminate()
      deliver(value)
    }
    worker.once('message', (text) => settle(resolve, text))
    worker.once('error', (thrown) => settle(resolve, JSON.stringify({ error: portrait(thrown) })))
    worker.once('exit', (code) => settle(reject, exited(file, code)))
  })
}

/** The text of the worker. */
function importer() {
  return `
    import { parentPort, workerData } from 'node:worker_threads'
    const { argv, file, href } = workerData
    process.argv.splice(0, Infinity, ...argv)
    // Nothing is left to do and the file has not ended: nobody will wake it up.
    const asleep = () => parentPort.postMessage(JSON.stringify({ error: portrait(neverEnds(file)) }))
    process.once('beforeExit', asleep)
    import(href).then(
      (module) => answering(file, () => 'default' in module ? module.default : { ...module }, withInherited),
      (thrown) => JSON.stringify({ error: portrait(thrown) })
    ).then(async (text) => {
      process.off('beforeExit', asleep)
      // What it wrote goes through the other thread, which takes it bit by bit.
      for (const stream of [process.stdout, process.stderr]) await new Promise((done) => stream.write('', done))
      parentPort.postMessage(text)
    })
    ${[answering, packed, withInherited, portrait, neverEnds].join('\n')}
  `
}

function neverEnds(file) {
  const error = new Error(`the configuration file ${file} did not finish: it awaits what never happens`)
  return Object.assign(error, { code: 'PM2_CONFIG_TIMEOUT' })
}

function exited(file, code) {
  return new Error(`the configuration file ${file} called process.exit(${code})`)
}

// ---- from one realm to another. Some are evaluated there from their text.

/** JSON text of the value that a function gives, or of what it throws. */
function answering(file, evaluate, replacer) {
  const { stringify } = JSON
  try {
    return packed(file, evaluate(), replacer, stringify)
  } catch (thrown) {
    return stringify({ error: portrait(thrown) })
  }
}

/** JSON text of the value that a file gives. */
function packed(file, value, replacer, stringify = JSON.stringify) {
  const later = value !== null && typeof value === 'object' && typeof value.then === 'function'
  if (later && value instanceof Promise) value.catch(() => {})
  const kind = later ? 'a promise' : { function: 'a function', symbol: 'a symbol', undefined: 'nothing' }[typeof value]
  if (kind === undefined) return stringify({ value }, replacer)
  throw new TypeError(`the configuration file ${file} gives ${kind}; it must give the apps themselves`)
}

/** For `JSON.stringify`: an object of a class, or made from another one, with what it has from there. */
function withInherited(_, value) {
  if (Object.prototype.toString.call(value) !== '[object Object]') return value
  const owners = []
  for (let owner = value; owner !== null; owner = Object.getPrototypeOf(owner)) owners.push(owner)
  // The last one is `Object.prototype`.
  if (owners.length < 3) return value
  const all = {}
  for (const owner of owners.slice(0, -1)) {
    for (const [key, { enumerable, get }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if ((enumerable || (get && owner !== value)) && !Object.hasOwn(all, key)) all[key] = value[key]
    }
  }
  return all
}

/** What is known of something thrown, as plain data; nothing at all is PM2's `Unidentified error`. */
function portrait(thrown) {
  if (thrown === null || typeof thrown !== 'object' || typeof thrown.message !== 'string') {
    let message = 'Unidentified error'
    try {
      if (thrown !== null && thrown !== undefined) message = String(thrown)
    } catch {
      // An object without a usable `toString`.
    }
    return { name: 'Error', message }
  }
  const details = Object.entries(thrown).filter(([, value]) => ['boolean', 'number', 'string'].includes(typeof value))
  const { name, message, stack } = thrown
  const known = { ...Object.fromEntries(details), name: String(name ?? 'Error'), message }
  return typeof stack === 'string' ? { ...known, stack } : known
}

/** The value in such a text, as data of this realm. Throws the error in it as one of this realm. */
function unpacked(text, file) {
  if (text.length > MOST_BYTES) throw tooBig(file, text.length)
  const { error, value } = plain(text)
  if (error === undefined) return value
  throw revived(error)
}

/** What a JSON text says. A key `__proto__` is left out: as soon as somebody copies it, it is no key any more. */
function plain(text) {
  return JSON.parse(text, (key, value) => (key === '__proto__' ? undefined : value))
}

const ERRORS = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }

function revived({ name, message, stack, ...details }) {
  const error = Object.assign(new (ERRORS[name] ?? Error)(message), details)
  const hidden = (value) => ({ value, writable: true, configurable: true })
  if (error.name !== name) Object.defineProperty(error, 'name', hidden(name))
  if (stack !== undefined) Object.defineProperty(error, 'stack', hidden(withoutOwnFrames(stack)))
  return error
}

function withoutOwnFrames(stack) {
  const [whole] = stack.split(/\n +at answering /)
  return whole.split('\n').filter((line) => !line.includes('data:text/javascript')).join('\n')
}

function tooSlow(file, limit) {
  const error = new Error(`the configuration file ${file} did not finish within ${limit / 1000} s`)
  return Object.assign(error, { code: 'PM2_CONFIG_TIMEOUT' })
}

// ---- where a text is wrong

/** Adds the place to an error, when there is one. */
function located(error, place) {
  if (place === undefined) return error
  const { column, file, line } = place
  const where = [file, line, column].filter((part) => part !== undefined).join(':')
  error.message += ` (${where})`
  if (!error.stack.includes(file)) {
    const frames = error.stack.split('\n').filter((frame) => /^ +at /.test(frame))
    error.stack = [String(error), `    at ${where}`, ...frames].join('\n')
  }
  return Object.assign(error, place)
}

/** The place of the code of a file that threw. */
function placeInFrames({ stack }, file) {
  const [, rest] = stack.split(`${file}:`)
  const [, line, column] = /^(\d+):(\d+)/.exec(rest) ?? []
  return line === undefined ? undefined : { file, line: Number(line), column: Number(column) }
}

/** The place in the file that Node could not parse; undefined for all other errors. */
function placeIn(error) {
  if (error?.name !== 'SyntaxError' || error.file !== undefined) return undefined
  const { file: name, ...place } = placeAtTopOf(error.stack)
  const file = name?.startsWith('file:') ? require('node:url').fileURLToPath(name) : name
  // Other names are those of texts that the file itself tried to evaluate.
  if (file === undefined || !path.isAbsolute(file)) return undefined
  return place.column === undefined ? { file, line: place.line, ...placeInScript(file) } : { file, ...place }
}

const TOP_OF_ERROR = /^(.+):(\d+)\n(?:[^\n]*\n([ \t]*)(\^|\n+SyntaxError: Unexpected end of input))?/

/**
 * The place in what V8 and Node put above an error: file and line, the text of the line and a caret below
 * the first wrong character. There is no caret at the end of the text, nor far to the right, nor in binary data.
 */
function placeAtTopOf(text) {
  const [, file, line, blank, mark] = TOP_OF_ERROR.exec(text) ?? []
  return line === undefined ? {} : { file, line: Number(line), column: mark && blank.length + 1 }
}

function placeInScript(file) {
  const text = require('node:fs').readFileSync(file, 'utf8')
  return placeByInspector('(function () {', text.replace(/^#!/, '//'), '})')
}

/** What V8 tells a debugger about a text, which stands in lines of its own between two others. */
function placeByInspector(before, text, after) {
  const { Session } = require('node:inspector')
  const session = new Session()
  let place
  session.connect()
  session.post('Runtime.enable')
  const expression = [before, text, after].join('\n')
  session.post('Runtime.compileScript', { expression, sourceURL: '', persistScript: false }, (_, reply) => {
    const { columnNumber, lineNumber } = reply?.exceptionDetails ?? {}
    // Both count from 0, and the text begins in the second line.
    if (lineNumber !== undefined) place = { line: lineNumber, column: columnNumber + 1 }
  })
  session.disconnect()
  const lines = text.split(/\r\n|[\n\r\u2028\u2029]/)
  // What follows the text is not the author's: the mistake is that the text ends there.
  return place?.line > lines.length ? { line: lines.length, column: lines.at(-1).length + 1 } : place
}

/** Whether the error comes from code, not from Node's loader alone. */
function hasFrames({ stack }) {
  return stack.split('\n').some((line) => /^ +at /.test(line) && !/\bnode:|<anonymous>/.test(line))
}

/** A module with a syntax error tells its place only to a process that dies of it: `node --check`. */
async function placeInModules(first) {
  const files = new Set([first])
  for (const file of files) {
    const text = await fs.readFile(file, 'utf8').catch(() => '')
    if (!(await isEsModule(file, text).catch(() => false))) continue
    const { line, column } = await checkModule(text)
    if (line !== undefined) return { file, line, column }
    for (const [, specifier] of text.matchAll(/\b(?:from|import)\s*['"](\.{1,2}\/[^'"]+)['"]/g)) {
      if (files.size < MOST_IMPORTS) files.add(path.resolve(path.dirname(file), specifier))
    }
  }
  return undefined
}

function checkModule(text) {
  const { execFile } = require('node:child_process')
  const { NODE_OPTIONS, ...env } = process.env
  return new Promise((resolve) => {
    const options = { env, timeout: MODULE_LIMIT_MS, maxBuffer: 2 * MOST_BYTES }
    const child = execFile(process.execPath, ['--input-type=module', '--check', '-'], options, (_, _out, errors) => {
      resolve(placeAtTopOf(errors))
    })
    // It may end before it has read everything.
    child.stdin.on('error', () => {})
    child.stdin.end(text)
  })
}

// ---- as a program

async function main([kind, file, ...given]) {
  const { writeFileSync } = require('node:fs')
  const answer = (reply) => {
    writeFileSync(3, `${JSON.stringify(reply)}\n`)
    process.removeListener('exit', ended)
    process.exit(0)
  }
  const ended = (code) => answer({ error: portrait(exited(file, code)) })
  process.once('exit', ended)
  process.argv.splice(1, Infinity, ...(given.length > 0 ? given : [file]))
  try {
    const value = kind === 'module' ? await evaluateModule(file) : evaluateExpression(await readText(file), file)
    answer({ value, env: { ...process.env } })
  } catch (thrown) {
    answer({ error: portrait(thrown) })
  }
}

// The text given to `-e` is no file.
if (module.id === '[eval]') main(process.argv.slice(1))
else module.exports = { evaluateExpression, evaluateModule, plain, readText, withInherited }
