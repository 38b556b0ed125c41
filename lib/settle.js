'use strict'

// How a public method takes its callback and how it answers: every call settles exactly once.

const { StartError } = require('./errors')

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
  if (callback === undefined) {
    promise.catch(() => {})
    return promise
  }
  promise.then(
    (value) => process.nextTick(deliver, callback, value),
    (error) => process.nextTick(refuse, callback, error)
  )
  return undefined
}

/** `cb(error)`, as most methods of PM2 fail. */
function withError(callback, error) {
  if (error instanceof StartError) callback(asArray(error), error.processes)
  else callback(error)
}

/** `cb(error, undefined)`, as `start`, `stop`, `delete` and `disconnect` of PM2 fail. */
function withErrorOfTwo(callback, error) {
  if (error instanceof StartError) callback(asArray(error), error.processes)
  else callback(error, undefined)
}

/** PM2's shape, plus the message that people look for on whatever they get as error. */
function asArray(error) {
  return Object.defineProperty([...error.errors], 'message', { value: error.message, configurable: true })
}

module.exports = { settle, split, withErrorOfTwo, withNothing, withValue }
