// Starts apps in many ways and records the environment that each of them was executed with.
import { inEnvironment, setVariables } from './caller.mjs'
import { difference, errorText } from './option-cases.mjs'

/** An app that costs nothing: an object for `start`, and the same as script with options. */
export const sleeper = (options) => ({ script: '/bin/sleep', args: ['300'], interpreter: 'none', ...options })
export const sleeperScript = (options) => ['/bin/sleep', { scriptArgs: ['300'], interpreter: 'none', ...options }]

/** A Node app that prints what it sees, and `printed` to read it. */
export const printer = (options) => ({ script: 'print-env.js', ...options })

/**
 * One app per case; all of them run until the end.
 * @param cases  name → `{caller?: variables of the caller, start: arguments}`; the name of the app is the case's unless given
 */
export async function recordStarts(t, cases) {
  for (const [name, { caller = {}, start }] of Object.entries(cases)) {
    await inEnvironment(caller, async () => {
      const { error, result, thrown } = await t.quiet.start(...start)
      if (error || thrown) return t.record(name, errorText(error ?? thrown))
      if (result.length === 0) return t.record(name, 'no process')
      for (const { pm2_env: app } of result) t.record(name, await seenBy(t, app.pm_id))
    })
  }
}

/**
 * Calls about one app, one after the other; records the whole environment after the first and then what is new.
 * @param steps  `[method, ...arguments]`, a function, or an object with variables of the caller, `null` to remove one
 */
export async function recordSteps(t, name, steps, target = 'app') {
  let before
  await inEnvironment({}, async () => {
    for (const [n, step] of steps.entries()) {
      if (typeof step === 'function') {
        await step()
        continue
      }
      if (!Array.isArray(step)) {
        setVariables(step)
        continue
      }
      const [method, ...args] = step
      const { error, thrown, timeout } = await t.quiet[method](...args)
      if (timeout) throw new Error(`no answer to ${method}`)
      if (error || thrown) t.record(`${name}: ${n} failed`, errorText(error ?? thrown))
      if (method === 'stop') continue
      const now = await seenBy(t, target)
      t.record(`${name}: ${n} ${method}`, before ? news(now, before) : now)
      before = now
    }
    await t.quiet.delete('all')
  })
}

// How earlier runs ended is a matter of other scenarios.
const history = /^(pm_uptime|created_at|exit_code|unstable_restarts|prev_restart_delay)$/

function news(now, before) {
  return Object.fromEntries(Object.entries(difference(now, before)).filter(([name]) => !history.test(name)))
}

/** The environment of an app; of a Node app in cluster mode what its process.env says. */
export async function seenBy(t, target) {
  const { pid, pm2_env: app } = await t.until(`${target} runs`, async () => {
    const proc = await t.proc(target)
    return proc?.pm2_env.status === 'online' && t.alive(proc.pid) && proc
  })
  if (app.exec_mode !== 'cluster_mode') return t.environment(pid)
  return printed(t, app.pm_out_log_path, app.restart_time + 1)
}

/** What the printing app wrote last. */
export async function printed(t, file, times = 1) {
  await t.contains(file, '"}\n', times)
  return JSON.parse(t.read(file).trim().split('\n').at(-1))
}
