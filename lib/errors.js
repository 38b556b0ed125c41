'use strict'

// What a caller gets as an error, and how it is made out of what the binding and the daemon say.

/** Code of the error of every call whose connection to the daemon ended before its answer. */
const CONNECTION_LOST = 'PM2_CONNECTION_LOST'

/** The connection ended before the answer came; whether the daemon did the work is unknown. */
function connectionLost(cause) {
  const error = new Error('the connection to the PM2 daemon was lost before it answered', { cause })
  error.code = CONNECTION_LOST
  return error
}

/**
 * An Error out of a refusal as it crosses the binding: `{message, code?, stack?}`, or only the text.
 * The stack of another process helps nobody, so the error keeps its own.
 */
function fromRefusal(refusal) {
  if (typeof refusal === 'string') return new Error(refusal)
  const error = new Error(refusal?.message ?? 'unknown error')
  if (refusal?.code !== undefined) error.code = refusal.code
  return error
}

/**
 * Whatever was thrown, as an `Error`: itself when it is one, of this realm or another.
 *
 * Nothing at all is PM2's `Unidentified error`.
 */
function asError(reason) {
  if (reason instanceof Error || require('node:util/types').isNativeError(reason)) return reason
  if (reason === undefined || reason === null) return new Error('Unidentified error')
  return new Error(typeof reason === 'object' && typeof reason.message === 'string' ? reason.message : textOf(reason))
}

function textOf(reason) {
  try {
    return String(reason)
  } catch {
    // An object without a usable `toString`.
    return 'Unidentified error'
  }
}

/**
 * Several apps of one call failed, others may have started.
 *
 * Callbacks get PM2's shape, an array of `Error`; a promise is rejected with this, whose `errors` is
 * that array and whose `processes` are the apps that did start.
 */
class StartError extends AggregateError {
  constructor(errors, processes) {
    super(errors, errors.map((error) => error.message).join(', '))
    this.name = 'StartError'
    this.processes = processes
  }
}

module.exports = { CONNECTION_LOST, StartError, asError, connectionLost, fromRefusal }
