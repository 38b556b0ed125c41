// npm pm2, the development dependency, as the other side of what both must read.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const executable = fileURLToPath(new URL('../../node_modules/.bin/pm2', import.meta.url))

/**
 * Runs its command line in a home; `PM2_DISCRETE_MODE` keeps its first-run banner away.
 * @returns `{code, stdout, stderr}`; `code` is the signal for a run that takes longer than 30 s
 */
export function npmPm2(env, ...args) {
  return new Promise((resolve) => {
    const options = { env: { ...env, PM2_DISCRETE_MODE: 'true', NO_COLOR: '1' }, timeout: 30_000, maxBuffer: 1 << 26 }
    execFile(executable, args, options, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code ?? error.signal) : 0, stdout, stderr })
    )
  })
}
