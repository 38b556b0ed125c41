// One measurement of one side, in a fresh Node process with a fresh PM2 home.

import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { endHome, makeHome } from './home.mjs'

const child = fileURLToPath(new URL('./child.mjs', import.meta.url))
/** No measurement takes a quarter of that on an idle machine. */
const LIMIT_MS = 240_000

/**
 * @param side `{module}`, and `{env, input}` if it needs variables of its own or its measurement an argument
 * @param turns those that it takes with others, if any
 * @returns the measurement's numbers by row key, or a list of such objects
 * @throws {Error} with the end of what the process printed, when it failed or hung
 */
export async function runOnce(file, side, turns) {
  const folder = makeHome()
  try {
    const home = path.join(folder, 'home')
    const result = path.join(folder, 'result.json')
    const printed = path.join(folder, 'printed')
    const output = openSync(printed, 'a')
    const args = [child, JSON.stringify({ file, module: side.module, input: side.input, home, result })]
    const stdio = ['ignore', output, output, ...(turns === undefined ? [] : ['ipc'])]
    const running = spawn(process.execPath, args, { env: { ...cleanEnv(home), ...side.env }, stdio })
    turns?.join(running)
    closeSync(output)
    const end = await ended(running)
    if (end !== 0) throw new Error(`${typeof end === 'number' ? `exit code ${end}` : end}\n${tail(printed)}`.trim())
    return JSON.parse(readFileSync(result, 'utf8'))
  } finally {
    endHome(folder)
  }
}

function tail(file) {
  return readFileSync(file, 'utf8').trim().slice(-2000)
}

/** Settings of PM2 and Node in the caller's environment must not leak into a measurement. */
function cleanEnv(home) {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PM2_|OVER_HOME$|NODE_OPTIONS$|NODE_CLUSTER_SCHED_POLICY$)/.test(name))
  return { ...Object.fromEntries(kept), PM2_HOME: home }
}

/** 0, another exit code, or a text about what else ended it. */
function ended(running) {
  return new Promise((resolve, reject) => {
    let hung = false
    const timer = setTimeout(() => {
      hung = true
      running.kill('SIGKILL')
    }, LIMIT_MS)
    running.once('error', reject)
    running.once('exit', (code, signal) => {
      clearTimeout(timer)
      resolve(hung ? `hung, ended after ${LIMIT_MS / 1000} s` : (code ?? `ended by ${signal}`))
    })
  })
}
