// Wraps the module: every call through `recorded` becomes a step, `quiet` makes the same calls without a step.

const callTimeoutMs = 12_000

export class Recorder {
  steps = {}
  failed = null
  finished = false
  #pending = new Set()

  constructor(pm2, write) {
    this.raw = pm2
    this.write = write
    this.recorded = this.#proxy({ record: true })
    this.quiet = this.#proxy({ record: false })
  }

  /**
   * Adds a step. A name used before gets `#2`, `#3`… so that both sides line up.
   * @returns {string} the name of the step
   */
  step(name, value) {
    let unique = name
    for (let n = 2; unique in this.steps; n++) unique = `${name}#${n}`
    this.steps[unique] = value === undefined ? null : plain(value)
    this.save()
    return unique
  }

  save() {
    this.write({ steps: this.steps, failed: this.failed, finished: this.finished })
  }

  /** An exception thrown inside the library, outside any call of ours: it belongs to the call that waits. */
  uncaught(error) {
    if (this.#pending.size === 0) this.step('uncaught', describeError(error))
    for (const settle of [...this.#pending]) settle({ uncaught: error })
  }

  /**
   * Object whose methods are the module's, without callback: each returns a promise of
   * `{error, result, rest, timeout, thrown, uncaught}`. `with({timeout, as, quiet})` changes one call; `client` reaches
   * `pm2.Client`.
   */
  #proxy(options) {
    const call = (owner, method) => (...args) => this.#call(owner, method, args, options)
    return new Proxy({}, {
      get: (_, name) => {
        if (name === 'with') return (more) => this.#proxy({ ...options, ...more })
        if (name === 'client') return new Proxy({}, { get: (_, method) => call(this.raw.Client, method) })
        if (name === 'then') return undefined
        return call(this.raw, name)
      },
    })
  }

  async #call(owner, method, args, { record, timeout = callTimeoutMs, as = method }) {
    let settle
    const outcome = await new Promise((resolve) => {
      const timer = setTimeout(() => settle({ timeout: true }), timeout)
      settle = (value) => {
        clearTimeout(timer)
        this.#pending.delete(settle)
        resolve(value)
      }
      this.#pending.add(settle)
      try {
        owner[method](...args, (...answer) => settle({ answered: true, count: answer.length, error: answer[0], result: answer[1], rest: answer.slice(2) }))
      } catch (thrown) {
        settle({ thrown })
      }
    })
    if (record) this.step(as, this.#describe(outcome))
    return outcome
  }

  #describe(outcome) {
    if (outcome.timeout) return { outcome: 'never called back' }
    if (outcome.thrown) return { outcome: 'threw', error: describeError(outcome.thrown) }
    if (outcome.uncaught) return { outcome: 'uncaught exception', error: describeError(outcome.uncaught) }
    const step = { outcome: 'called back', error: describeError(outcome.error) }
    if (outcome.count > 1) step.result = outcome.result === undefined ? '<undefined>' : outcome.result
    return step
  }
}

/** What a script can see of an error: its kind, message and code, never its stack. */
export function describeError(error) {
  if (error === null) return null
  if (error === undefined) return '<undefined>'
  if (Array.isArray(error)) return { kind: 'Array', items: error.map(describeError) }
  if (error instanceof Error) {
    const seen = { kind: 'Error', name: error.name, message: error.message }
    if (error.code !== undefined) seen.code = error.code
    return seen
  }
  return { kind: typeof error, value: error }
}

/** JSON with what JSON would lose or choke on. */
function plain(value) {
  const open = []
  return JSON.parse(JSON.stringify(value, function (key, item) {
    while (open.length > 0 && open.at(-1) !== this) open.pop()
    if (item && typeof item === 'object') {
      if (open.includes(item)) return '<circular>'
      open.push(item)
    }
    if (typeof item === 'bigint' || typeof item === 'function') return `<${typeof item}>`
    if (typeof item === 'number' && !Number.isFinite(item)) return `<${item}>`
    if (item instanceof Error) return describeError(item)
    return item
  }))
}
