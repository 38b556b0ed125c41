'use strict'

// Configuration files, which need a JavaScript engine, and the shapes of what they contain.
// Behaviour of PM2 7.0.4, specification `options.md` §5.

const fs = require('node:fs/promises')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { isModuleNamespaceObject } = require('node:util/types')

/** How long the expression in a `.json` file may run. */
const EVALUATION_LIMIT_MS = 1000

// In the order PM2 looks; anywhere in the text counts, so `app.json5` and `x.json.bak` are found too.
const KINDS = [
  ['.json', readJson],
  ['.yml', readYaml],
  ['.yaml', readYaml],
  ['.config.js', readModule],
  ['.config.cjs', readModule],
  ['.config.mjs', readModule]
]

/** Whether PM2 takes this text for the name of a configuration file. */
function isConfigFile(text) {
  return KINDS.some(([part]) => text.includes(part))
}

/**
 * Reads a configuration file.
 *
 * @param file a text that `isConfigFile`
 * @param folder what the file is relative to; absent: the working directory, and errors name the file as given
 * @param environment see `appsOf`
 * @returns the app objects in it, see `appsOf`
 */
async function loadApps(file, folder, environment) {
  const [, read] = KINDS.find(([part]) => file.includes(part))
  return appsOf(await read(folder === undefined ? file : path.resolve(folder, file)), environment)
}

async function readJson(file) {
  const text = (await fs.readFile(file, 'utf8')).replace(/^\uFEFF/, '')
  try {
    return JSON.parse(text)
  } catch {
    // Comments, trailing commas, single quotes, template literals: a JavaScript expression, in a
    // context of its own that knows nothing of this process.
    return evaluate(`(${text}\n)`, file)
  }
}

function evaluate(text, filename) {
  const vm = require('node:vm')
  const script = new vm.Script(text, { filename })
  try {
    return script.runInNewContext(Object.create(null), { timeout: EVALUATION_LIMIT_MS })
  } catch (error) {
    // What is thrown inside belongs to the other context and is no `Error` of this one.
    if (error instanceof Error || typeof error?.message !== 'string') throw error
    throw Object.assign(new Error(error.message), { name: String(error.name ?? 'Error') })
  }
}

async function readYaml(file) {
  await fs.readFile(file)
  throw new Error(`YAML configuration files are not supported yet, write it as .json or .config.js: ${file}`)
}

/** Evaluates the module anew each time, as a file that is edited between two starts expects. */
async function readModule(file) {
  await fs.readFile(file)
  const absolute = path.resolve(file)
  if (file.endsWith('.mjs')) return importFresh(absolute)
  delete require.cache[require.resolve(absolute)]
  try {
    const value = require(absolute)
    if (!isModuleNamespaceObject(value)) return value
  } catch (error) {
    if (error?.code !== 'ERR_REQUIRE_ESM') throw error
  }
  // A `.config.js` inside a package of `"type": "module"`, which newer versions of Node do require, but only once.
  return importFresh(absolute)
}

let imports = 0

async function importFresh(file) {
  const url = pathToFileURL(file)
  url.searchParams.set('pm2', String((imports += 1)))
  const { default: whole, ...named } = await import(url.href)
  return whole ?? named
}

/**
 * The app objects in `{apps: […]}`, `{apps: {…}}`, `{pm2: …}`, `[…]` or one bare app object.
 *
 * The objects are the caller's own and are not changed.
 *
 * @param environment name given as `env`: its `deploy.<name>.env` goes below each app's `env_<name>`
 * @throws {TypeError} when an app is not an object
 */
function appsOf(value, environment) {
  if (!Array.isArray(value)) checkApp(value)
  if (value.static !== undefined) throw new Error('"static" file servers are not supported yet')
  const found = value.apps ?? value.pm2 ?? value
  const apps = Array.isArray(found) ? found : (found.apps ?? found)
  const list = Array.isArray(apps) ? apps : [apps]
  list.forEach(checkApp)
  const deployed = typeof environment === 'string' ? value.deploy?.[environment]?.env : undefined
  if (!deployed) return list
  const key = `env_${environment}`
  return list.map((app) => ({ ...app, [key]: { ...deployed, ...app[key] } }))
}

function checkApp(app) {
  // `Module`: what `import * as config` gives.
  if (['Object', 'Module'].includes(kindOf(app))) return
  throw new TypeError(`an app must be described by an object, not by ${describe(app)}`)
}

/** What a value is, for people. */
function describe(value) {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'object') return typeof value
  return kindOf(value) === 'Object' ? 'an object' : `an object of the class ${kindOf(value)}`
}

/** `Object`, `Date`, `Map`, `Null`, … also for what was made in another context. */
function kindOf(value) {
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}

module.exports = { appsOf, describe, isConfigFile, loadApps }
