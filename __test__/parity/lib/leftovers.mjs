// Finds processes that belong to one run: those whose environment names the run's private folder. Never matches by
// program name, so other daemons on the machine are safe.
import fs from 'node:fs'
import path from 'node:path'

/** Ends every process of the run; called when its files may go away. */
export function endLeftovers(root) {
  // More than once: a daemon may be starting something just now.
  for (let round = 0; round < 5; round++) {
    const own = processesOf(root)
    if (own.length === 0) return
    for (const { pid } of own) {
      try { process.kill(pid, 'SIGKILL') } catch { /* gone meanwhile */ }
    }
  }
}

/**
 * Command lines of the run's processes that are still there after `graceMs`, which is what a killed daemon may need.
 * A daemon that still lives is asked to go first, by its pid. Whatever is left is ended.
 */
export async function leftoversOf(root, graceMs) {
  await gone(root, graceMs)
  if (askDaemon(root)) await gone(root, 2 * graceMs)
  const left = processesOf(root).map(({ command }) => command).sort()
  endLeftovers(root)
  return left
}

async function gone(root, limitMs) {
  const deadline = Date.now() + limitMs
  while (processesOf(root).length > 0 && Date.now() < deadline) await new Promise((next) => setTimeout(next, 25))
}

function askDaemon(root) {
  try {
    const pid = Number(fs.readFileSync(path.join(root, 'home', 'pm2.pid'), 'utf8'))
    return processesOf(root).some((own) => own.pid === pid) && process.kill(pid, 'SIGTERM')
  } catch {
    return false
  }
}

function processesOf(root) {
  const own = []
  for (const entry of fs.readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      if (!fs.readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`${root}/`)) continue
      if (/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))) continue
      own.push({ pid, command: fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() })
    } catch { /* gone meanwhile, or not ours to read */ }
  }
  return own
}
