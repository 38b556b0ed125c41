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

module.exports = { CONNECTION_LOST, StartError, connectionLost, fromRefusal }
