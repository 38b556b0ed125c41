// An app in cluster mode that answers with its worker's pid.

import { fileURLToPath } from 'node:url'
import { call, daemonPid } from './api.mjs'
import { cpuTime } from './cpu.mjs'
import { freePort, load, tryLoad } from './load.mjs'

const script = fileURLToPath(new URL('../fixtures/answer-pid.js', import.meta.url))
const NAME = 'cluster'
const LIMIT_MS = 20_000

/**
 * Starts it and warms it up.
 *
 * @param options more options of the app
 * @returns `{port, cpu}`; `cpu()` answers `{daemon, workers}`, processor time until now in ms
 */
export async function startCluster(pm2, home, instances, options = {}) {
  const port = await freePort()
  const env = { ...options.env, PORT: String(port) }
  await call(pm2, 'start', { name: NAME, script, exec_mode: 'cluster', instances, ...options, env })
  const pids = (await call(pm2, 'list'))
    .filter(({ name, pm2_env: { status } }) => name === NAME && status === 'online')
    .map(({ pid }) => pid)
  if (pids.length !== instances) throw new Error(`${pids.length} of ${instances} workers are online`)
  await allAnswer(port, pids)
  await warmUp(port)
  const daemon = daemonPid(home)
  return { port, cpu: () => ({ daemon: cpuTime(daemon), workers: cpuTime(...pids) }) }
}

export function endCluster(pm2) {
  return call(pm2, 'delete', NAME)
}

/** `online` says that a process runs; only an answer says that it listens. */
async function allAnswer(port, pids) {
  const wanted = pids.map(String).toSorted().join()
  const deadline = performance.now() + LIMIT_MS
  for (;;) {
    const answering = Object.keys((await tryLoad(port, { clients: 64, seconds: 0.1 })).workers).toSorted().join()
    if (answering === wanted) return
    if (performance.now() > deadline) throw new Error(`workers ${wanted}, answers from ${answering}`)
  }
}

/** A worker's code is compiled while it runs, and both kinds of connection have code of their own. */
async function warmUp(port) {
  for (let times = 0; times < 2; times += 1) {
    await load(port, { clients: 64, seconds: 0.75 })
    await load(port, { clients: 64, seconds: 0.5, keepAlive: true })
  }
}
