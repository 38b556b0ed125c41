// The Node versions whose workers are tested: this one, with PM2_RS_FULL also those of nodes/package.json.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const folder = fileURLToPath(new URL('../nodes/', import.meta.url))
const run = promisify(execFile)

/** `{path, version, major}` of each; a version that comes twice is tested once. */
export const nodes = await find()

/** Whether a Node is at least of this version. */
export function atLeast({ version }, wanted) {
  const parts = (text) => text.split('.').map(Number)
  const [have, want] = [parts(version), parts(wanted)]
  const at = want.findIndex((number, n) => have[n] !== number)
  return at < 0 || have[at] > want[at]
}

async function find() {
  const found = [describe(process.execPath, process.versions.node)]
  if (!process.env.PM2_RS_FULL) return found
  await install()
  const { packages } = JSON.parse(await readFile(path.join(folder, 'package-lock.json'), 'utf8'))
  for (const [place, { version }] of Object.entries(packages)) {
    if (place !== '' && found.every((node) => node.version !== version)) {
      found.push(describe(path.join(folder, place, 'bin/node'), version))
    }
  }
  return found
}

function describe(file, version) {
  return { path: file, version, major: parseInt(version, 10) }
}

// Test files run in several processes: the first one installs, the others wait for its lock, which ends with it.
async function install() {
  const steps = `
    cmp -s package-lock.json node_modules/installed.json && exit
    npm ci --ignore-scripts --no-bin-links --no-audit --no-fund \\
      --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000 &&
      cp package-lock.json node_modules/installed.json`
  try {
    await run('flock', ['package.json', 'sh', '-c', steps], { cwd: folder })
  } catch (error) {
    const reason = `${error.stdout ?? ''}${error.stderr ?? ''}` || error.message
    throw new Error(`PM2_RS_FULL tests other Node versions, which cannot be installed into ${folder}:\n${reason}`)
  }
}
