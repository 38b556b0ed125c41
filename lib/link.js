'use strict'

// One connection to one daemon, from the first call that needs it to its end. It never comes back:
// what begins later gets another link.

const { connectionLost, fromRefusal } = require('./errors')

class Link {
  /** Calls under way, from their first step on, connected or not. */
  pending = new Set()
  /** The connection attempt, which everybody shares; null before anybody needed it. */
  opening = null
  #connect
  #onEnd
  #shownHome
  #connection = null
  #info = null
  #ended = false

  /**
   * @param connect `(attached) => Promise<connection or refusal>`
   * @param onEnd called once, when nothing can be asked over this link any more
   * @param shownHome the home as the caller wrote it
   */
  constructor(connect, onEnd, shownHome) {
    this.#connect = connect
    this.#onEnd = onEnd
    this.#shownHome = shownHome
  }

  /** Connects, at most once. @returns the object that `pm2.connect` answers */
  open(attached = false) {
    if (this.#ended) return Promise.reject(connectionLost())
    const first = this.opening === null
    this.opening ??= this.#open(attached)
    // Only while nobody was connected yet can it be this call that launched the daemon.
    return first || this.#connection === null ? this.opening : Promise.resolve({ ...this.#info, new_pm2_instance: false })
  }

  async #open(attached) {
    try {
      const answer = await this.#connect(attached)
      if (typeof answer.call !== 'function') throw fromRefusal(answer)
      this.#connection = answer
      const { newInstance, rpcSocket, pubSocket } = answer.info()
      this.#info = {
        daemon_mode: undefined,
        new_pm2_instance: newInstance,
        rpc_socket_file: rpcSocket,
        pub_socket_file: pubSocket,
        pm2_home: this.#shownHome
      }
      // This pending promise is what keeps Node's loop alive while connected.
      const end = () => this.#end()
      answer.closed().then(end, end)
      return this.#info
    } catch (error) {
      this.#end()
      throw error
    }
  }

  /** One remote method, with exactly as many arguments as it has parameters. */
  async call(method, ...args) {
    const connection = await this.#opened()
    const reply = await this.#answer(connection.call(method, JSON.stringify(args)))
    if (reply.error !== undefined) throw fromRefusal(reply.error)
    // No method has more than one result.
    return reply.args?.[0]
  }

  /** One whole verb, which may be many remote calls, done natively. @returns `{result, errors?}` */
  async run(verb, request) {
    const connection = await this.#opened()
    const reply = await this.#answer(connection.run(verb, JSON.stringify(request)))
    if (reply.error !== undefined) throw fromRefusal(reply.error)
    return reply
  }

  /** The binding rejects only when the connection broke; everything else is data in the reply. */
  async #answer(replying) {
    try {
      return JSON.parse(await replying)
    } catch (cause) {
      // Lost, or not JSON: then what is at the other end is no daemon.
      this.close()
      throw connectionLost(cause)
    }
  }

  async #opened() {
    await this.open()
    if (this.#ended) throw connectionLost()
    return this.#connection
  }

  close() {
    this.#end()
    this.#connection?.close()
  }

  #end() {
    if (this.#ended) return
    this.#ended = true
    this.#onEnd(this)
  }
}

module.exports = { Link }
