// Starts one app after the other, each with a few options, and tells what the options made of it.
//
// Apps are started with `autostart: false`, so that nothing is spawned. What is the same as in an app without options
// is left out: a case then shows what its options changed, and only that.
import { inspect, isDeepStrictEqual } from 'node:util'
import { inEnvironment } from './caller.mjs'
import { label, options } from './option-values.mjs'
import { describeError } from './recorder.mjs'

const runtime = /^(unique_id|pm_uptime|created_at|axm_.*|versioning|vizion_running|node_version|_pm2_version|_tree_pids|unstable_restarts|prev_restart_delay)$/
const optionNames = new Set(options.map(({ name }) => name))

/**
 * @param start  what is to be called with a case: `(case) => arguments of pm2.start`
 * @param cases  name → case
 * @returns {Promise<object>} name → text of an error, or what changed
 */
export async function tryCases(t, cases, start) {
  const plain = await attempt(t, start({}))
  const seen = {}
  for (const [name, given] of Object.entries(cases)) seen[name] = outcome(await attempt(t, start(given)), plain)
  return seen
}

/** `<spelling> = <value>` → `{<spelling>: value}` for everything in `values`. */
export function spelled(spelling, values) {
  return Object.fromEntries(values.map((value) => [`${spelling} = ${label(value)}`, { [spelling]: value }]))
}

/** Starts, looks and deletes; the environment of this process is the same again afterwards. */
async function attempt(t, args) {
  const { error, result, thrown, uncaught, timeout } = await inEnvironment({}, () => t.quiet.start(...args))
  if (timeout) throw new Error(`no answer to ${inspect(args)}`)
  if (thrown) return { error: `threw ${errorText(thrown)}` }
  if (uncaught) return { error: `uncaught ${errorText(uncaught)}` }
  if (error) return { error: errorText(error) }
  const apps = result.map(shown)
  if (apps.length > 0) await t.quiet.delete('all')
  return { apps }
}

/** `TypeError: message`; several in brackets. */
export function errorText(error) {
  const { items, name, message, code } = describeError(error)
  return items ? `[${error.map(errorText).join('; ')}]` : `${name}: ${message}${code ? ` (${code})` : ''}`
}

/** The options of a process and, beside them, its environment. */
export function shown({ pm2_env: { env, ...app } }) {
  const { unique_id, updateEnv, ...variables } = Object(env)
  const own = Object.entries(app).filter(([key]) => !runtime.test(key) && (optionNames.has(key) || !(key in variables)))
  return { ...Object.fromEntries(own), env: variables }
}

function outcome({ error, apps }, plain) {
  if (error !== undefined) return error
  const changed = apps.map((app) => changes(app, plain.apps[0]))
  return apps.length === 1 ? changed[0] : { apps: changed }
}

/** What is not the same in `plain`. */
export function changes(app, plain) {
  const { env: _, ...changed } = difference(app, plain)
  const env = difference(app.env, plain.env)
  return Object.keys(env).length > 0 ? { ...changed, env } : changed
}

/** Keys with another value than `before`; '(none)' for those that are gone. */
export function difference(now, before) {
  const changed = Object.entries(now).filter(([key, value]) => !isDeepStrictEqual(value, before[key]))
  const gone = Object.keys(before).filter((key) => !(key in now)).map((key) => [key, '(none)'])
  return Object.fromEntries([...changed, ...gone])
}
