// Processor time, in ms. /proc/<pid>/stat counts in ticks of 10 ms, and a daemon's share of a short measurement is a
// few of these; the scheduler's own account of each thread is in nanoseconds.

import { readFileSync, readdirSync } from 'node:fs'

/** Of all threads of these processes, since they began. Threads that have ended are not counted. */
export function cpuTime(...pids) {
  return pids.flatMap(threads).reduce((sum, file) => sum + Number(readFileSync(file, 'latin1').split(' ')[0]), 0) / 1e6
}

function threads(pid) {
  return readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/schedstat`)
}
