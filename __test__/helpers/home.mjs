// A fresh PM2 home for one test. Whatever the test does, its daemon and its apps are ended by pid.

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from './wait.mjs'

const require = createRequire(import.meta.url)
const pm2 = require('../../index.js')

export const module = fileURLToPath(new URL('../../index.js', import.meta.url))

/** Absolute path of a script in `fixtures/`. */
export function fixture(name) {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
}

/**
 * @param t the test; its end is the end of the home
 * @returns `{folder, env, pm2, daemonPid, create, script}`
 */
export async function makeHome(t) {
  const folder = await mkdtemp(path.join(tmpdir(), 'pm2-rs-test-'))
  const instances = []
  const create = (options) => {
    instances.push(new pm2.custom({ pm2_home: folder, ...options }))
    return instances.at(-1)
  }
  const env = { ...process.env, PM2_HOME: folder }
  t.teardown(async () => {
    await Promise.all(instances.map((instance) => instance.disconnect()))
    await endDaemon(folder)
    await rm(folder, { recursive: true, force: true })
  })
  return { folder, env, create, pm2: create(), daemonPid: () => pidIn(path.join(folder, 'pm2.pid')), script }

  /** Runs a script in a Node of its own, with `pm2` in scope. @returns as `runNode` */
  function script(text, options) {
    return runNode(`const pm2 = require(${JSON.stringify(module)});\n${text}`, { env, ...options })
  }
}

/**
 * @param input what the script reads from its standard input; absent: nothing
 * @returns `{code, signal, stdout, stderr, milliseconds}`; after 20 s the script is killed
 */
export function runNode(text, { args = [], env = process.env, input = '' } = {}) {
  const start = performance.now()
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['-e', text, ...args], { env, timeout: 20_000 }, (error, stdout, stderr) => {
      const { code = 0, signal = null } = error ?? {}
      resolve({ code, signal, stdout, stderr, milliseconds: performance.now() - start })
    })
    // A script that ended without reading it.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

async function pidIn(file) {
  const pid = Number(await readFile(file, 'utf8').catch(() => ''))
  return pid > 0 ? pid : null
}

export function isAlive(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

export async function endDaemon(folder) {
  const daemon = await pidIn(path.join(folder, 'pm2.pid'))
  const files = await readdir(path.join(folder, 'pids')).catch(() => [])
  const apps = await Promise.all(files.map((file) => pidIn(path.join(folder, 'pids', file))))
  if (daemon !== null && isAlive(daemon)) {
    process.kill(daemon, 'SIGTERM')
    await waitFor(() => !isAlive(daemon), 5000).catch(() => {})
  }
  const left = [daemon, ...apps].filter((pid) => pid !== null && isAlive(pid))
  for (const pid of left) kill(pid)
  await waitFor(() => !left.some(isAlive), 2000).catch(() => {})
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // Ended by itself meanwhile.
    if (error.code !== 'ESRCH') throw error
  }
}
