// Clients of the fixtures, whose servers talk in lines of JSON.

import { readFile } from 'node:fs/promises'
import net from 'node:net'
import { kill } from 'node:process'
import { isAlive } from '../helpers/home.mjs'
import { waitFor } from '../helpers/wait.mjs'

export const host = '127.0.0.1'

// Below those that the system gives to clients, and apart from those of a test file that runs beside this one.
const first = 10_000 + (process.pid % 1000) * 20
let next = 0

/** A port that nobody listens on. */
export async function freePort() {
  for (;;) {
    const port = first + (next++ % 20)
    if (await isFree(port)) return port
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer().on('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

/**
 * A connection that stays open until the test ends.
 *
 * @returns `{socket, answer}`; `answer` is the first line, as a promise
 */
export function open(t, options) {
  const socket = net.connect(options).setEncoding('utf8')
  t.teardown(() => socket.destroy())
  const answer = new Promise((resolve, reject) => {
    let text = ''
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)))
    socket.on('data', function read(chunk) {
      text += chunk
      const end = text.indexOf('\n')
      if (end < 0) return
      socket.off('data', read)
      resolve(JSON.parse(text.slice(0, end)))
    })
  })
  // Not every test waits for it.
  answer.catch(() => {})
  return { socket, answer }
}

/** What the server says to a new client. */
export async function ask(t, options) {
  const { socket, answer } = open(t, options)
  try {
    return await answer
  } finally {
    socket.destroy()
  }
}

/**
 * Asks until each worker has answered: dealt out, connections reach all of them in turn. Where workers accept by
 * themselves, any one of them may be the quickest for ever, so all others are stopped.
 *
 * @returns the answers, in the order of the pids
 */
export async function askEach(t, { policy, pids }, asking) {
  const found = new Map()
  if (policy === 'shared') {
    for (const pid of pids) {
      const others = pids.filter((other) => other !== pid)
      await stopped(others, async () => found.set(pid, await asking()))
    }
  } else {
    // Under `direct` it is chance, which leaves one of two workers out for so long once in 10^60 times.
    const limit = policy === 'direct' ? 200 : 2 * pids.length
    for (let n = 0; n < limit && found.size < pids.length; n += 1) {
      const answer = await asking()
      found.set(answer.pid, answer)
    }
  }
  const answers = pids.map((pid) => found.get(pid))
  t.deepEqual(answers.map((answer) => answer?.pid), pids)
  return answers
}

/** The kernel's TCP sockets with a local port, in a state by its number in /proc/net/tcp. @returns `{inode}` of each */
export async function socketsAt(port, state) {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8')))
  const rows = tables.flatMap((table) => table.trim().split('\n').slice(1)).map((row) => row.trim().split(/\s+/))
  const found = rows.filter((row) => parseInt(row[1].split(':')[1], 16) === port && row[3] === state)
  return found.map((row) => ({ inode: row[9] }))
}

/** Does something while processes stand still. */
export async function stopped(pids, doing) {
  try {
    for (const pid of pids) kill(pid, 'SIGSTOP')
    for (const pid of pids) await waitFor(async () => (await stateOf(pid)) === 'T')
    return await doing()
  } finally {
    for (const pid of pids) if (isAlive(pid)) kill(pid, 'SIGCONT')
  }
}

async function stateOf(pid) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  // After the name, which may contain anything, in parentheses.
  return text.slice(text.lastIndexOf(')') + 2)[0]
}
