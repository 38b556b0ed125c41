// Runs one scenario against one implementation: a child Node process with its own PM2_HOME and its own copy of the
// fixtures as working directory. Whatever happens, nothing that was started here is alive when `runSide` returns.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { findExecutable } from './executables.mjs'
import { leftoversOf, endLeftovers } from './leftovers.mjs'
import { normaliser } from './normalise.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const fixtures = path.join(here, '..', 'fixtures')
const defaultLimitMs = 40_000

// Also when the runner itself is interrupted.
const open = new Set()
process.on('exit', () => open.forEach(close))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))

function close(root) {
  endLeftovers(root)
  fs.rmSync(root, { recursive: true, force: true, maxRetries: 3 })
  open.delete(root)
}

/**
 * @param {{name: string, modulePath: string}} side   `modulePath` is the file `require()` resolves to
 * @param {{name: string, file: string, limit?: number}} scenario
 * @returns {Promise<{steps: object, failed: string|null, stdout: string, stderr: string, ms: number}>}
 */
export async function runSide(side, scenario) {
  const began = Date.now()
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-parity-')))
  open.add(root)
  const dirs = { root, home: path.join(root, 'home'), cwd: path.join(root, 'work'), user: path.join(root, 'user'), bin: path.join(root, 'bin') }
  fs.cpSync(fixtures, dirs.cwd, { recursive: true })
  fs.mkdirSync(dirs.user)
  fs.mkdirSync(dirs.bin)
  linkExecutables(dirs.bin)
  const recordingFile = path.join(root, 'recording.json')
  const config = { scenario: scenario.file, module: side.modulePath, recording: recordingFile, ...dirs }
  const environment = {
    PATH: [dirs.bin, '/usr/local/bin', '/usr/bin', '/bin'].join(':'),
    HOME: dirs.user, USER: 'parity', SHELL: '/bin/sh', LANG: 'C.UTF-8', TZ: 'UTC',
    PM2_HOME: dirs.home,
  }
  try {
    const { failed, leftovers, ...output } = await runChild(config, environment, dirs.cwd, scenario.limit ?? defaultLimitMs)
    const recording = readRecording(recordingFile)
    const normalise = normaliser({ ...dirs, path: environment.PATH, packageRoot: packageRoot(side.modulePath) })
    const steps = { ...normalise(recording.steps), 'leftover processes': normalise(leftovers) }
    return { steps, failed: recording.failed ?? failed, ...output, ms: Date.now() - began }
  } finally {
    close(root)
  }
}

function runChild(config, environment, cwd, limitMs) {
  const child = spawn(process.execPath, [path.join(here, 'child.mjs'), JSON.stringify(config)], {
    cwd, env: environment, stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => { output.stdout += chunk })
  child.stderr.on('data', (chunk) => { output.stderr += chunk })
  return new Promise((resolve, reject) => {
    let failed = null
    const limit = setTimeout(() => {
      failed = `the scenario took longer than ${limitMs} ms`
      child.kill('SIGKILL')
    }, limitMs)
    child.on('error', reject)
    // 'exit', not 'close': a daemon may have inherited the pipes.
    child.on('exit', async (code, signal) => {
      clearTimeout(limit)
      if (!failed && code !== 0) failed = `the child ended with ${signal ?? `code ${code}`}`
      const leftovers = await leftoversOf(config.root, 3_000)
      child.stdout.destroy()
      child.stderr.destroy()
      resolve({ failed, leftovers, ...output })
    })
  })
}

function readRecording(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    return { steps: {}, failed: `no recording: ${error.message}` }
  }
}

/** Directory of the nearest package.json above the module, the root folder when there is none. */
function packageRoot(modulePath) {
  let dir = path.dirname(fs.realpathSync(modulePath))
  while (!fs.existsSync(path.join(dir, 'package.json')) && dir !== path.dirname(dir)) dir = path.dirname(dir)
  return dir
}

// Apps look interpreters up in PATH; the machine's own PATH may hold wrappers (pyenv, volta) that start shells.
function linkExecutables(bin) {
  fs.symlinkSync(process.execPath, path.join(bin, 'node'))
  const python = findExecutable('python3')
  if (python) fs.symlinkSync(python, path.join(bin, 'python3'))
  if (python) fs.symlinkSync(python, path.join(bin, 'python'))
}
