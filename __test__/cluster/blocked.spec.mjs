// Workers that do not look at their channel or their sockets, and clients that do not read.
import { execFile } from 'node:child_process'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { waitFor } from '../helpers/wait.mjs'
import { dealing, each, withDirect } from './app.mjs'
import { ask, askEach, freePort, host, open, socketsAt, stopped } from './clients.mjs'

const run = promisify(execFile)

/** Starts `block.js`, and a file whose creation ends the busy loop of a blocked worker. */
async function startBlock(start, instances) {
  const port = await freePort()
  const app = await start('block.js', { instances, env: { PORT: port } })
  const file = path.join(app.folder, 'go-on')
  const block = async (instance) => {
    await app.tell(instance, 'block', file)
    const { pid: own } = (await app.workers())[instance]
    await app.until(1, ({ pid, blocked }) => pid === own && blocked)
  }
  return { app, port, block, release: () => writeFile(file, '') }
}

/** Many clients at once. @returns `answered()`, and `all`, their answers */
function crowd(t, port, count) {
  const answers = []
  const all = Promise.all(Array.from({ length: count }, async () => {
    const answer = await open(t, { host, port }).answer
    answers.push(answer)
    return answer
  }))
  // A test that fails does not wait for it.
  all.catch(() => {})
  return { answered: () => answers.length, all }
}

// A worker holds at most four connections that it has not acknowledged.
const clients = 24
const atOnce = clients - 4

each('while a worker is busy the others serve', withDirect, async (t, { start }) => {
  const { app, port, block, release } = await startBlock(start, 2)
  const [busy] = await app.pids()
  await block(0)
  const { answered, all } = crowd(t, port, clients)
  await waitFor(() => answered() >= atOnce, 3000)
  await release()
  t.true((await all).filter(({ pid }) => pid !== busy).length >= atOnce)
})

each('while a worker stands still the others serve', withDirect, async (t, { start }) => {
  const { app, port } = await startBlock(start, 3)
  const [still] = await app.pids()
  const { all } = await stopped([still], async () => {
    const clientsNow = crowd(t, port, clients)
    await waitFor(() => clientsNow.answered() >= atOnce, 3000)
    return clientsNow
  })
  t.true((await all).filter(({ pid }) => pid !== still).length >= atOnce)
})

each('what a worker has not taken when it is killed is served by the others', withDirect, async (t, { start }) => {
  const { app, port } = await startBlock(start, 3)
  const [still] = await app.pids()
  const { answered, all } = await stopped([still], async () => {
    const clientsNow = crowd(t, port, clients)
    await waitFor(() => clientsNow.answered() >= atOnce, 3000)
    process.kill(still, 'SIGKILL')
    await app.until(4, ({ listening }) => listening)
    return clientsNow
  })
  t.false((await all).some(({ pid }) => pid === still))
  t.is(answered(), clients)
})

each('nothing is lost or given twice when handles come behind a long message', dealing, async (t, { start }) => {
  // A worker reads 64 KiB at a time: the limit falls into the first handle, behind it, and before all of them.
  for (const size of [65_476, 65_300, 65_536]) {
    const { app, port, block, release } = await startBlock(start, 2)
    // What a message of one byte takes on the channel, with the end of its line.
    await app.tell(0, 'measure', 'x')
    const [{ length }] = await app.until(1, (fact) => fact.length)
    for (const instance of [0, 1]) await block(instance)
    for (const instance of [0, 1]) await app.tell(instance, 'measure', 'x'.repeat(size - length))
    const { all } = crowd(t, port, 8)
    // All have left the queue of the listener.
    await waitFor(async () => (await accepted(port)) === 8)
    await release()
    const answers = await all
    const measured = await app.until(3, (fact) => fact.length)
    t.deepEqual(measured.slice(1).map((fact) => fact.length), [size - 1, size - 1])
    // Each worker has numbered its clients: as many as have heard of it.
    for (const pid of await app.pids()) {
      const numbers = answers.filter((answer) => answer.pid === pid).map(({ served }) => served)
      t.deepEqual(numbers.sort(), numbers.map((_, n) => n + 1))
    }
    for (const instance of [0, 1]) await app.tell(instance, 'measure', 'x')
    const last = (await app.until(5, (fact) => fact.length)).slice(3)
    t.is(last.reduce((sum, { served }) => sum + served, 0), 8)
  }
})

/** How many connections to a port belong to a process, not to the queue of a listener. */
async function accepted(port) {
  const established = await socketsAt(port, '01')
  return established.filter(({ inode }) => inode !== '0').length
}

each('a worker without free descriptors hands its connections back', dealing, async (t, { start }) => {
  const { app, port } = await startBlock(start, 2)
  const [poor, rich] = await app.pids()
  const limits = await readFile(`/proc/${poor}/limits`, 'utf8')
  const [, soft, hard] = /Max open files\s+(\d+)\s+(\d+)/.exec(limits)
  const used = new Set((await readdir(`/proc/${poor}/fd`)).map(Number))
  let free = 0
  while (used.has(free)) free += 1
  await run('prlimit', [`--nofile=${free}:${hard}`, '--pid', poor])
  const { all } = crowd(t, port, clients)
  t.deepEqual(new Set((await all).map(({ pid }) => pid)), new Set([rich]))

  await run('prlimit', [`--nofile=${soft}:${hard}`, '--pid', poor])
  await waitFor(async () => (await open(t, { host, port }).answer).pid === poor)
  // It got each of its connections once.
  await app.tell(0, 'measure', 'x')
  const [{ served }] = await app.until(1, (fact) => fact.length)
  t.is(served, 1)
})

each('a client that does not read 30 MB holds nobody up', withDirect, async (t, { policy, start }) => {
  const port = await freePort()
  const app = await start('large.js', { env: { PORT: port } })
  const { socket, answer } = open(t, { host, port })
  await answer
  socket.pause()
  socket.write('all of it')
  await app.until(1, ({ written }) => written)
  await askEach(t, { policy, pids: await app.pids() }, () => ask(t, { host, port }))
  let bytes = 0
  socket.on('data', (chunk) => {
    bytes += chunk.length
  })
  await new Promise((resolve, reject) => socket.on('error', reject).on('end', resolve).resume())
  t.is(bytes, 30_000_000)
})
