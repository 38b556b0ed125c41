// Apps that end in chosen ways, and what became of them: statuses, counters and the order of events on the bus.

/** A shell command as a native program: it costs nothing to let it die often. */
export const shell = (name, command, options) => ({ name, script: '/bin/sh', args: ['-c', command], interpreter: 'none', ...options })
export const sleeper = (name, options) => ({ name, script: '/bin/sleep', args: ['300'], interpreter: 'none', ...options })

/**
 * Follows the bus; call it first, as it needs an empty list.
 * @returns {(name: string) => object[]}  what was said of an app so far
 */
export async function follow(t) {
  const { result: bus } = await t.quiet.launchBus()
  const events = []
  bus.on('process:event', ({ event, manually, process }) => events.push({ name: process.name, seen: seenIn(event, manually, process) }))
  // A subscription has no answer: it holds as soon as an event arrives.
  await t.quiet.start(sleeper('bus'))
  await t.until('the bus speaks', async () => {
    await t.quiet.client.executeRemote('notifyByProcessId', { id: 0, action_name: 'subscribed', manually: true })
    return events.length > 0
  })
  await t.quiet.delete('bus')
  return (name) => events.filter((event) => event.name === name).map(({ seen }) => seen)
}

function seenIn(event, manually, { status, restart_time: restarts, unstable_restarts: unstable, exit_code: code, prev_restart_delay: delay }) {
  return { event, by: manually ? 'hand' : 'itself', status, restarts, unstable, code: code ?? 'none', delay: delay ?? 'none' }
}

/** What is left of a process when it has come to rest. */
export function rest(proc) {
  if (!proc) return 'not listed'
  const { name, pm_id, pid, pm2_env: env } = proc
  const { status, restart_time, unstable_restarts, exit_code, prev_restart_delay } = env
  return {
    name, pm_id, running: pid > 0, status, restart_time, unstable_restarts, exit_code: exit_code ?? 'none',
    delay: prev_restart_delay ?? 'none', dated: typeof env.created_at === 'number',
  }
}

/**
 * Starts one app per case, all at once, and records how each came to rest.
 * @param cases  name → `{app, deaths: n}` for one that rests after so many, `{app, lives: n}` for one that never does
 */
export async function recordEnds(t, said, cases) {
  const refused = new Set()
  for (const [name, { app }] of Object.entries(cases)) {
    const started = outcome(await t.quiet.start({ ...app, name }))
    if (started === 'done') continue
    t.record(name, started)
    refused.add(name)
  }
  for (const [name, { deaths, lives }] of Object.entries(cases)) {
    if (refused.has(name)) continue
    await t.until(`${name}: enough ends`, async () => exits(said(name)) >= (deaths ?? lives) || (await t.proc(name)).pm2_env.status === 'errored')
    if (lives) {
      const { pm2_env: env } = await t.proc(name)
      t.record(name, { status: env.status === 'errored' ? 'errored' : 'goes on', unstable: env.unstable_restarts })
      await t.quiet.stop(name)
      continue
    }
    await rested(t, said, name)
    t.record(name, rest(await t.proc(name)))
    t.record(`events of ${name}`, said(name))
  }
  await t.quiet.delete('all')
}

const exits = (events) => events.filter(({ event }) => event === 'exit').length

/** Waits until nothing new has been said of an app for a while. */
export async function rested(t, said, name, ms = 150) {
  for (let before = -1; before !== said(name).length;) {
    before = said(name).length
    await t.sleep(ms)
  }
}

/** Outcome of a call in one word or its error; a scenario of its own may record it. */
export function outcome({ error, thrown, timeout, uncaught }) {
  if (timeout) return 'no answer'
  const problem = thrown ?? uncaught ?? error
  if (!problem) return 'done'
  const first = Array.isArray(problem) ? problem[0] : problem
  return `${thrown ? 'threw ' : ''}${String(first?.message ?? first)}`
}
