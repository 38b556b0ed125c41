'use strict'

// Decodes AMP messages, the framing of both sockets: one byte with the number of arguments in its low
// four bits, then for each argument its length as 32 bits, big endian, and its bytes.
// Behaviour of PM2 7.0.4, specification `wire.md` §3.

/** Longest message that is accepted, in bytes. A longer one is an error of the peer. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

/**
 * Incremental decoder. `feed` calls `onMessage(args)` once per complete message; an argument is a
 * Buffer that is valid during the call only.
 *
 * Memory is bounded by what has really arrived of one message, never by a length it announces.
 */
class Decoder {
  #onMessage
  #limit
  #chunks = []
  #buffered = 0
  // How many bytes must be there before looking again is worth while.
  #wanted = 1

  constructor(onMessage, limit = MAX_MESSAGE_BYTES) {
    this.#onMessage = onMessage
    this.#limit = limit
  }

  /** @throws {Error} when the peer breaks the framing; the stream cannot be used any further. */
  feed(chunk) {
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    // Collecting first and joining once keeps a large message that comes in small pieces linear.
    if (this.#buffered < this.#wanted) return
    const bytes = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks, this.#buffered)
    const used = this.#drain(bytes)
    const rest = bytes.length - used
    // A copy, so that a few left-over bytes do not keep a whole read buffer alive.
    this.#chunks = rest === 0 ? [] : [Buffer.from(bytes.subarray(used))]
    this.#buffered = rest
  }

  #drain(bytes) {
    let start = 0
    while (start < bytes.length) {
      const count = bytes[start] & 0x0f
      if (count === 0) throw new Error('AMP message without arguments')
      const args = new Array(count)
      let at = start + 1
      for (let index = 0; index < count; index += 1) {
        if (bytes.length < at + 4) return this.#wait(start, at + 4)
        const length = bytes.readUInt32BE(at)
        at += 4
        if (at + length - start > this.#limit) throw new Error(`AMP message longer than ${this.#limit} bytes`)
        if (bytes.length < at + length) return this.#wait(start, at + length)
        args[index] = bytes.subarray(at, at + length)
        at += length
      }
      start = at
      this.#onMessage(args)
    }
    this.#wanted = 1
    return start
  }

  #wait(start, end) {
    this.#wanted = end - start
    return start
  }
}

/** The value of one argument: JSON, text, or the bytes as they are (copied). */
function value(argument) {
  if (argument.length >= 2 && argument[1] === 0x3a) {
    if (argument[0] === 0x73) return argument.toString('utf8', 2)
    if (argument[0] === 0x6a) return JSON.parse(argument.toString('utf8', 2))
  }
  return Buffer.from(argument)
}

module.exports = { Decoder, MAX_MESSAGE_BYTES, value }
