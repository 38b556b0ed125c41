'use strict'

// From PM2's many ways to write a call to the one request that the native side takes.
// Behaviour of PM2 7.0.4, specification `api.md` §4 and §5.1 to §5.3.

const { isConfigFile, loadConfig } = require('./config')
const { describe, kindOf } = require('./describe')

/** The target that stands for a JSON list of apps on the standard input. */
const STANDARD_INPUT = '-'
const TARGET = 'must be a process id, a name, a namespace, "all" or the text of a regular expression'

/**
 * What the native side must know of the caller: folder, environment, node.
 *
 * PM2 leaves its marks in the caller's own environment, from where apps inherit them; here only the
 * copy has them.
 */
function context(cwd, fromObjects = false) {
  const env = { ...process.env, PM2_PROGRAMMATIC: 'true' }
  if (fromObjects) env.PM2_JSON_PROCESSING = 'true'
  return { cwd, env, node: process.execPath }
}

/** `start`: app objects, a configuration file, or a script. */
async function startRequest(cwd, first, second) {
  if (typeof first === 'string' && !isConfigFile(first)) {
    // PM2 accepts a configuration file beside a script and does not read it.
    return { script: first, options: isOptions(second) ? second : {}, context: context(cwd) }
  }
  if (typeof first === 'number') {
    throw new TypeError('Expect "script" to be a typeof [object String], but now is [object Number]')
  }
  if (first === null || (typeof first !== 'object' && typeof first !== 'string')) {
    throw new TypeError(
      `the first argument of start must be a script, a configuration file or app objects, not ${describe(first)}`
    )
  }
  const options = isOptions(second) ? second : {}
  return { config: await configOf(first, cwd), options, context: context(cwd, true) }
}

/** `restart`, `reload`: processes, or app objects and configuration files as in `start`. */
async function againRequest(cwd, target, second) {
  const options = isOptions(second) ? second : {}
  if (holdsApps(target)) {
    // A list on the standard input is one of names: nothing is started that is not there.
    const kind = target === STANDARD_INPUT ? { names_only: true } : {}
    return { config: await configOf(target, cwd), ...kind, options, context: context(cwd, true) }
  }
  checkTarget(target)
  // A target may be the path of a script, seen from where the caller is now.
  return { target, options, context: context(process.cwd()) }
}

/** `stop`, `delete`: processes, or the names in app objects and configuration files. */
async function endRequest(target) {
  const cwd = process.cwd()
  if (holdsApps(target)) return { config: await configOf(target), context: context(cwd, true) }
  return { target: checkTarget(target), context: context(cwd) }
}

/** What describes apps, in any of its shapes; the native side reads it. */
async function configOf(from, cwd) {
  if (from === STANDARD_INPUT) return JSON.parse(await readStandardInput())
  return typeof from === 'string' ? loadConfig(from, cwd) : checkDescription(from)
}

/** @throws {TypeError} for what would be an empty object once it is JSON */
function checkDescription(value) {
  const parts = [value, value.apps, value.pm2].flat().filter((part) => part !== undefined)
  // `Module`: what `import * as config` gives.
  const wrong = parts.findIndex((part) => !['Object', 'Module'].includes(kindOf(part)))
  if (wrong === -1) return parts.some(isDerived) ? withInherited(value) : value
  throw new TypeError(`an app must be described by an object, not by ${describe(parts[wrong])}`)
}

/** Whether an object may have options that are not its own. */
function isDerived(object) {
  const parent = Object.getPrototypeOf(object)
  return parent !== null && parent !== Object.prototype
}

/** A copy that has them. */
function withInherited(value) {
  return JSON.parse(JSON.stringify(value, require('./evaluate.cjs').withInherited))
}

/** The whole text; ends when the writer closes it. */
async function readStandardInput() {
  const chunks = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

/** Whether apps are to be taken out of it: objects, a file, or `-`. */
function holdsApps(target) {
  return typeof target === 'string' ? target === STANDARD_INPUT || isConfigFile(target) : isApps(target)
}

/** App objects, as opposed to a list of targets. */
function isApps(value) {
  if (value === null || typeof value !== 'object') return false
  return !Array.isArray(value) || (value.length > 0 && value.every((entry) => typeof entry === 'object'))
}

function isOptions(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/** @throws {TypeError} for what PM2 crashes on */
function checkTarget(target) {
  const list = Array.isArray(target) ? target : [target]
  for (const one of list) {
    const usable = typeof one === 'number' ? Number.isFinite(one) : typeof one === 'string'
    if (!usable) throw new TypeError(`the process ${TARGET}, not ${describe(one)}`)
  }
  return target
}

/** For methods that are about one process or name. @throws {TypeError} as `checkTarget`, and for a list */
function checkOne(target) {
  if (Array.isArray(target)) throw new TypeError(`the process ${TARGET}, not ${describe(target)}`)
  return checkTarget(target)
}

module.exports = { againRequest, checkOne, checkTarget, context, endRequest, startRequest }
