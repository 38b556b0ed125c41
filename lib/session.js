'use strict'

// What an API instance knows about its daemon: at most one link that all calls share, opened by the
// first call that needs it and replaced when it was lost or closed; and the buses.

const { connectionLost } = require('./errors')
const { Link } = require('./link')

/** How long `close` waits for calls that are still on their way, as long as PM2 waits at most. */
const DRAIN_MS = 200

class Session {
  #native
  #target
  #link = null
  #wasOpen = false
  #buses = new Set()
  #bus = null

  /**
   * @param native what connects; `lib/native.js` when not given
   * @param target `{home, shownHome, cwd}`: the home as absolute path and as the caller wrote it
   */
  constructor(native, target) {
    this.#native = native
    this.#target = target
  }

  /** Whether a daemon is there; launches none. */
  async isAlive() {
    if (this.#link?.opening != null) return this.open().then(Boolean, () => false)
    return this.#door().ping({ home: this.#target.home, env: process.env })
  }

  #door() {
    return this.#native ?? require('./native')
  }

  #current() {
    this.#link ??= new Link(
      async (attached) => {
        const { home, cwd } = this.#target
        const answer = await this.#door().connect({ home, cwd, env: { ...process.env }, attached })
        this.#wasOpen ||= typeof answer.call === 'function'
        return answer
      },
      (link) => {
        if (this.#link === link) this.#link = null
      },
      this.#target.shownHome
    )
    return this.#link
  }

  /**
   * Does work that needs the daemon. All its steps go over the same link, so that none connects anew
   * behind the back of a `disconnect`.
   *
   * @param work `(link) => Promise`
   */
  async use(work) {
    const link = this.#current()
    const running = work(link)
    link.pending.add(running)
    try {
      return await running
    } finally {
      link.pending.delete(running)
    }
  }

  /** Connects, or fulfils at once when connected. @returns the object that `pm2.connect` answers */
  async open(attached = false) {
    return this.#current().open(attached)
  }

  call(method, ...args) {
    return this.use((link) => link.call(method, ...args))
  }

  run(verb, request) {
    return this.use((link) => link.run(verb, request))
  }

  /** The daemon was told to end: nothing more can come over this connection. */
  drop() {
    this.#wasOpen = true
    this.#link?.close()
  }

  /** Opens one more bus. It lives until closed or until `close` of the session. */
  openBus() {
    return this.use(async (link) => {
      const { pub_socket_file: address } = await link.open()
      // Closed or lost meanwhile: nobody would close this bus any more.
      if (this.#link !== link) throw connectionLost()
      const { Bus } = require('./bus')
      const bus = new Bus(address)
      this.#buses.add(bus)
      bus.sock.on('close', () => {
        if (bus.sock.closed) this.#buses.delete(bus)
      })
      this.#bus = bus
      return bus.opened()
    })
  }

  /** @throws what PM2 reports when there is no bus to close */
  closeBus() {
    const bus = this.#bus
    if (bus === null) throw new Error('SUB connection to PM2 is not launched')
    if (bus.sock.closed) throw new Error('SUB connection is already being closed')
    bus.close()
  }

  /**
   * Closes link and buses; afterwards nothing of them keeps Node's loop alive. New calls get a new link.
   *
   * Calls still on their way get up to 200 ms to settle, then they fail as lost.
   * @throws what PM2 reports when there is nothing to close, or the bus was closed before
   */
  async close() {
    const link = this.#link
    const busWasClosed = this.#bus !== null && this.#bus.sock.closed
    this.#link = null
    for (const bus of this.#buses) bus.close()
    this.#buses.clear()
    this.#bus = null
    if (link === null || (link.opening === null && link.pending.size === 0)) {
      throw new Error(this.#wasOpen ? 'RPC already being closed' : 'SUB connection to PM2 is not launched')
    }
    await link.opening?.catch(() => {})
    await settledWithin([...link.pending], DRAIN_MS)
    link.close()
    // A call that came to connecting only now ends as lost, but its connection must not stay behind.
    await link.opening?.then(() => link.close(), () => {})
    if (busWasClosed) throw new Error('SUB connection is already being closed')
  }
}

async function settledWithin(promises, milliseconds) {
  if (promises.length === 0) return
  let timer
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  await Promise.race([Promise.allSettled(promises), limit])
  clearTimeout(timer)
}

module.exports = { Session }
