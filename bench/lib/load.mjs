// The programs of `bench/load`: the load generator, and what a run of it says; an app that notes when it runs.

import { execFile } from 'node:child_process'
import { createServer } from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
/** Tells measuring processes where they are. */
const VARIABLE = 'BENCH_PROGRAMS'
const program = (name) => path.join(process.env[VARIABLE], name)
/** The app. */
export const noteTime = () => program('note-time')

/** Builds them where they are missing or older than their source; cargo knows. */
export async function buildLoad() {
  const args = ['build', '--release', '-p', 'pm2-rs-load', '--message-format=json']
  const { stdout } = await run('cargo', args, { cwd: root, maxBuffer: 64 << 20 })
  const executables = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line).executable)
  process.env[VARIABLE] = path.dirname(executables.find((file) => typeof file === 'string'))
}

/**
 * One run against 127.0.0.1. Options are those of the command line, in camel case.
 *
 * @returns what it prints
 * @throws {Error} when a request failed or was not answered
 */
export async function load(port, options) {
  const report = await tryLoad(port, options)
  const nFailed = Object.values(report.failures).reduce((sum, count) => sum + count, report.hung)
  if (nFailed > 0) {
    const classes = JSON.stringify({ ...report.failures, hung: report.hung })
    throw new Error(`${nFailed} of ${report.requests + nFailed} requests failed: ${classes}`)
  }
  return report
}

/** The same, and failures are part of the answer. */
export async function tryLoad(port, options) {
  const args = Object.entries(options).flatMap(([name, value]) => {
    const option = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    return value === true ? [option] : [option, String(value)]
  })
  const { stdout } = await run(program('pm2-rs-load'), [`127.0.0.1:${port}`, ...args], { maxBuffer: 64 << 20 })
  return JSON.parse(stdout)
}

/** Requests, or connections, of the worker that had least over those of the one that had most. */
export function evenness({ workers }, nWorkers, quantity) {
  const counts = Object.values(workers).map((worker) => worker[quantity])
  return counts.length < nWorkers ? 0 : Math.min(...counts) / Math.max(...counts)
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
