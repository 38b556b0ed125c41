// Measuring processes that are there at the same time and work one after the other, a second each, say: what else
// happens on the machine then hits all of them alike.

/** Every process has one turn in each step; the order changes with every step. */
export class Turns {
  #members = []
  #queue = []
  #reversed
  #expected

  /** @param expected how many will `join` */
  constructor(expected, reversed) {
    this.#expected = expected
    this.#reversed = reversed
  }

  /** The process, which has a channel, asks for a turn by any message. That ends the one that it had, as its exit does. */
  join(running) {
    const member = { running, state: 'working' }
    this.#members.push(member)
    running.on('message', () => this.#next(member, 'waiting'))
    running.once('exit', () => this.#next(member, 'gone'))
  }

  #next(member, state) {
    member.state = state
    if (this.#members.length < this.#expected || this.#members.some((other) => other.state === 'working')) return
    this.#queue = this.#queue.filter((other) => other.state === 'waiting')
    if (this.#queue.length === 0) this.#queue = this.#nextStep()
    const first = this.#queue.shift()
    if (first === undefined) return
    first.state = 'working'
    first.running.send('turn')
  }

  #nextStep() {
    const waiting = this.#members.filter((member) => member.state === 'waiting')
    const queue = this.#reversed ? waiting.toReversed() : waiting
    this.#reversed = !this.#reversed
    return queue
  }
}
