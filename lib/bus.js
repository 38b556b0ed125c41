'use strict'

// The message bus: an axon "sub emitter" over the daemon's pub socket. It listens only.
// Behaviour of PM2 7.0.4, specifications `api.md` §5.8 and `wire.md` §4.2, §4.3.

const { EventEmitter } = require('node:events')
const net = require('node:net')
const { Decoder, value } = require('./amp')
const { endpoint } = require('./home')

const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 5000
/** Packets that wait for somebody who iterates: then no more are read from the daemon. */
const MAX_WAITING = 1000
/** Errors of a daemon that is absent or restarting. */
const PASSING = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT'
])

/**
 * The connection under a bus. Reconnects for ever, after 100 ms and then half as long again each
 * time up to 5 s; keeps Node's loop alive until `close()`.
 *
 * Events: `connect`, `close`, `reconnect attempt`, `error` (only if somebody listens for it).
 */
class BusSocket extends EventEmitter {
  connected = false
  #address
  #onMessage
  #socket = null
  #timer = null
  #delay = FIRST_RETRY_MS
  #closed = false
  #paused = 0

  constructor(address, onMessage) {
    super()
    this.#address = endpoint(address)
    this.#onMessage = onMessage
    this.#open()
  }

  get closed() {
    return this.#closed
  }

  close() {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    // Between two attempts there is no socket whose end would be heard of.
    if (this.#socket.closed) this.emit('close')
    else this.#socket.destroy()
  }

  /** Reads no more until `resume` was called as often. What then waits is held back by the daemon, which has its limit. */
  pause() {
    this.#paused += 1
    this.#socket.pause()
  }

  resume() {
    this.#paused -= 1
    if (this.#paused === 0) this.#socket.resume()
  }

  #open() {
    const decoder = new Decoder(this.#onMessage)
    const socket = net.connect(this.#address)
    this.#socket = socket
    if (this.#paused > 0) socket.pause()
    socket.on('connect', () => {
      this.connected = true
      this.#delay = FIRST_RETRY_MS
      this.emit('connect')
    })
    socket.on('data', (chunk) => {
      try {
        decoder.feed(chunk)
      } catch (error) {
        socket.destroy(error)
      }
    })
    socket.on('error', (error) => {
      if (this.listenerCount('error') > 0) this.emit('error', error)
    })
    socket.on('close', () => this.#onClose())
  }

  #onClose() {
    const wasConnected = this.connected
    this.connected = false
    if (!this.#closed) {
      this.#timer = setTimeout(() => {
        this.emit('reconnect attempt')
        if (!this.#closed) this.#open()
      }, this.#delay)
      this.#delay = Math.min(Math.round(this.#delay * 1.5), LONGEST_RETRY_MS)
    }
    if (wasConnected || this.#closed) this.emit('close')
  }
}

/** Listens to the events of a daemon and its apps. */
class Bus {
  /** The connection, an EventEmitter: `connect`, `close`, `reconnect attempt`. */
  sock
  /** Every registration, in order. */
  listeners = []

  constructor(address) {
    this.sock = new BusSocket(address, (args) => this.#receive(args))
  }

  /**
   * Calls `listener(packet)` for every event of that topic. Each `*` in the topic stands for one or
   * more characters, and what it stood for comes as a leading argument: `on('log:*', (type, packet) => …)`.
   */
  on(event, listener) {
    if (typeof listener !== 'function') throw new TypeError('the listener must be a function')
    const topic = String(event)
    const listeners = [...this.listeners, { event: topic, re: topicPattern(topic), fn: listener }]
    this.listeners = listeners
    return this
  }

  /** Drops what was registered with exactly this string: that listener, or all when none is named. */
  off(event, listener) {
    const topic = String(event)
    this.listeners = this.listeners.filter(
      (entry) => entry.event !== topic || (typeof listener === 'function' && entry.fn !== listener)
    )
    return this
  }

  /**
   * The same events one after the other, from now on until the bus is closed: arrays of what a listener would get.
   *
   * Whoever takes their time holds up this bus, and nothing else: what the daemon has no room for comes as `pm2:overflow`.
   */
  events(topic = '*') {
    const waiting = []
    let wake = () => {}
    let isPaused = false
    const hold = (on) => {
      if (on === isPaused) return
      isPaused = on
      if (on) this.sock.pause()
      else this.sock.resume()
    }
    const listener = (...args) => {
      waiting.push(args)
      if (waiting.length >= MAX_WAITING) hold(true)
      wake()
    }
    const onClose = () => wake()
    this.on(topic, listener)
    this.sock.on('close', onClose)
    let hasEnded = false
    const end = () => {
      hasEnded = true
      waiting.length = 0
      this.off(topic, listener)
      this.sock.off('close', onClose)
      hold(false)
      wake()
    }
    const next = async () => {
      while (waiting.length === 0 && !this.sock.closed && !hasEnded) {
        await new Promise((resolve) => {
          wake = resolve
        })
      }
      const value = waiting.shift()
      if (waiting.length < MAX_WAITING / 2) hold(false)
      if (value !== undefined) return { value, done: false }
      end()
      return { value, done: true }
    }
    // One at a time, whoever asks how often.
    let turn = Promise.resolve()
    return {
      next: () => (turn = turn.then(next)),
      return: async (value) => {
        end()
        return { value, done: true }
      },
      throw: async (error) => {
        end()
        throw error
      },
      [Symbol.asyncIterator]() {
        return this
      }
    }
  }

  /** `for await (const [topic, packet] of bus)` */
  [Symbol.asyncIterator]() {
    return this.events()
  }

  /**
   * Fulfils when the bus is connected, so that no later event is missed. A daemon that is just going
   * away is waited for; anything that waiting cannot cure, such as missing permission, rejects.
   */
  opened() {
    return new Promise((resolve, reject) => {
      const { sock } = this
      const end = (settle, argument) => {
        sock.off('connect', onConnect).off('close', onClose).off('error', onError)
        settle(argument)
      }
      const onConnect = () => end(resolve, this)
      const onClose = () => end(reject, new Error('the bus was closed before it was connected'))
      const onError = (error) => {
        if (PASSING.has(error.code)) return
        this.close()
        end(reject, error)
      }
      sock.on('connect', onConnect).on('close', onClose).on('error', onError)
    })
  }

  /** Ends the connection. A closed bus stays closed. */
  close() {
    this.sock.close()
  }

  #receive(args) {
    const listeners = this.listeners
    // What was read together with the packet whose listener has closed the bus.
    if (listeners.length === 0 || this.sock.closed) return
    const topic = String(value(args[0]))
    // Parsed only when somebody wants it, and once for all who do.
    let rest
    for (const entry of listeners) {
      const captured = entry.re === null ? (entry.event === topic ? [] : null) : entry.re.exec(topic)?.slice(1)
      if (!captured) continue
      rest ??= args.slice(1).map(value)
      try {
        entry.fn(...captured, ...rest)
      } catch (error) {
        // An ordinary uncaughtException, without taking the next listeners and messages along.
        process.nextTick(() => {
          throw error
        })
      }
    }
  }
}

function topicPattern(topic) {
  if (!topic.includes('*')) return null
  const escaped = topic.replace(/[.+?^${}()|[\]\\/]/g, '\\$&').replaceAll('*', '(.+)')
  return new RegExp(`^${escaped}$`, 's')
}

module.exports = { Bus }
