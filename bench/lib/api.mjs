// The module under test, called as its documentation says: with a callback as the last argument.

import { readFileSync } from 'node:fs'
import path from 'node:path'

export function call(pm2, method, ...args) {
  return new Promise((resolve, reject) => {
    pm2[method](...args, (error, value) => (error ? reject(asError(error)) : resolve(value)))
  })
}

/** Loads the module and connects; launches the daemon. */
export async function connected(load) {
  const pm2 = load()
  await call(pm2, 'connect')
  return pm2
}

/** Milliseconds that the work takes. */
export async function timed(work) {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** Native apps that do nothing and obey SIGINT at once. */
export function sleepers(count, prefix = 'sleep') {
  return Array.from({ length: count }, (_, index) => ({
    name: `${prefix}-${index}`,
    script: '/bin/sleep',
    args: ['1000000'],
    interpreter: 'none',
  }))
}

/** Starts them in one call, and makes sure that all run. */
export async function startAll(pm2, apps) {
  await call(pm2, 'start', apps)
  const wanted = new Set(apps.map(({ name }) => name))
  const listed = (await call(pm2, 'list')).filter(({ name }) => wanted.has(name))
  const nOnline = listed.filter(({ pm2_env: { status } }) => status === 'online').length
  if (nOnline !== apps.length) throw new Error(`${nOnline} of ${apps.length} apps are online`)
  return listed
}

export function daemonPid(home) {
  return Number(readFileSync(path.join(home, 'pm2.pid'), 'utf8'))
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

function asError(error) {
  if (error instanceof Error) return error
  return new Error(typeof error === 'string' ? error : JSON.stringify(error))
}
