'use strict'

// How a public method is called, takes its callback and answers: every call settles exactly once.
//
// Part of every `require('pm2-rs')`: it loads nothing until something fails.

/**
 * Splits the arguments of a public method at its callback: the first function ends them.
 *
 * `start(script, cb)` and `start(script, undefined, cb)` so give the same.
 */
function split(args) {
  const at = args.findIndex((argument) => typeof argument === 'function')
  return at === -1 ? { params: args, callback: undefined } : { params: args.slice(0, at), callback: args[at] }
}

/** `cb(null, value)`, as almost every method of PM2 answers. */
function withValue(callback, value) {
  callback(null, value)
}

/** `cb()`, as a few methods of PM2 answer. */
function withNothing(callback) {
  callback()
}

/**
 * Answers through `callback` when there is one, otherwise with the promise.
 *
 * The callback runs outside of any promise, so that an exception in it is an ordinary
 * `uncaughtException`. A promise nobody looks at never ends the process: scripts written for PM2
 * call methods without a callback and expect failures of them to pass silently.
 */
function settle(promise, callback, deliver = withValue, refuse = withError) {
  const settled = promise.catch(refused)
  if (callback === undefined) {
    settled.catch(() => {})
    return settled
  }
  settled.then(
    (value) => process.nextTick(deliver, callback, value),
    (error) => process.nextTick(refuse, callback, error)
  )
  return undefined
}

/** Whatever the caller's own code or files threw, a failure is an `Error`: `if (error)` must see it. */
function refused(reason) {
  throw require('./errors').asError(reason)
}

/** `cb(error)`, as most methods of PM2 fail. */
function withError(callback, error) {
  if (isStartError(error)) callback(asArray(error), error.processes)
  else callback(error)
}

/** `cb(error, undefined)`, as `start`, `stop`, `delete` and `disconnect` of PM2 fail. */
function withErrorOfTwo(callback, error) {
  if (isStartError(error)) callback(asArray(error), error.processes)
  else callback(error, undefined)
}

function isStartError(error) {
  return error instanceof require('./errors').StartError
}

/** PM2's shape, plus the message that people look for on whatever they get as error. */
function asArray(error) {
  return Object.defineProperty([...error.errors], 'message', { value: error.message, configurable: true })
}

/**
 * Gives an instance its methods as own functions that need no `this`, so that
 * `const { list } = pm2` and `promisify(pm2.list)` work.
 *
 * They look the method up at each call: who patches the class, or extends it, is heard.
 */
function bindMethods(instance, prototype) {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (name === 'constructor' || typeof Object.getOwnPropertyDescriptor(prototype, name).value !== 'function') continue
    const bound = { [name]: (...args) => Object.getPrototypeOf(instance)[name].apply(instance, args) }[name]
    Object.defineProperty(instance, name, { value: bound, writable: true, configurable: true, enumerable: false })
  }
}

module.exports = { bindMethods, settle, split, withErrorOfTwo, withNothing, withValue }
