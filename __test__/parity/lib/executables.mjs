import { execFileSync } from 'node:child_process'

const found = new Map()

/** Absolute path of the real executable behind a name, or null when the machine has none. */
export function findExecutable(name) {
  if (!found.has(name)) found.set(name, look(name))
  return found.get(name)
}

function look(name) {
  try {
    const command = name === 'python3' ? 'python3 -c "import sys; print(sys.executable)"' : `command -v ${name}`
    return execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() || null
  } catch {
    return null
  }
}
