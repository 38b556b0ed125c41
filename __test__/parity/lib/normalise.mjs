// Replaces what differs between two runs of the same program: process ids, times, private paths, random ids, and the
// parts of a serialised child process that belong to Node itself. What differs between two programs stays.
import os from 'node:os'
import path from 'node:path'

const times = new Set(['pm_uptime', 'created_at', 'at', 'timestamp'])
const childInternals = new Set([
  '_events', '_eventsCount', '_maxListeners', '_closesNeeded', '_closesGot', '_handle', '_handleQueue', '_pendingMessage', '_channel',
  'connected', 'signalCode', 'exitCode', 'killed', 'spawnfile', 'spawnargs', 'stdin', 'stdout', 'stderr', 'stdio', 'channel', 'domain',
])

/** @returns {(value: any) => any} */
export function normaliser({ home, cwd, user, bin, root, path: searchPath, packageRoot }) {
  const texts = [
    [searchPath, '<PATH>'], [home, '<HOME>'], [cwd, '<CWD>'], [user, '<USER_HOME>'], [bin, '<BIN>'], [root, '<ROOT>'],
    [packageRoot, '<PACKAGE>'], [process.execPath, '<NODE>'], [path.dirname(process.execPath), '<NODE_DIR>'],
  ]
    .filter(([from]) => from.length > 1)
  const account = os.userInfo().username

  const text = (value) => {
    for (const [from, to] of texts) value = value.replaceAll(from, to)
    return value
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?/g, '<date>')
      .replace(/\b(pid[= ]|PID[= ]|pid )\d+/g, '$1<pid>')
  }

  const scalar = (key, value) => {
    if (times.has(key) && /^1\d{12}$/.test(String(value))) return '<time>'
    if (/^_?pid$/.test(key) && Number.isInteger(value) && value > 0) return '<pid>'
    if (key === 'memory' && value > 0) return '<bytes>'
    if (key === 'cpu' && typeof value === 'number') return '<cpu>'
    if (key === 'username' && value === account) return '<user>'
    if (key === 'node_version' && value === process.versions.node) return '<node version>'
    return typeof value === 'string' ? text(value) : value
  }

  const walk = (value, key = '', parent = '') => {
    if (Array.isArray(value)) {
      if (key === '_tree_pids') return value.map(() => '<pid>')
      const items = value.map((item) => walk(item, parent, parent))
      // Results come in completion order, which is nobody's contract.
      return items.every((item) => item?.pm2_env) ? items.sort(byId) : items
    }
    if (value === null || typeof value !== 'object') return scalar(key, value)
    const spawned = 'pm2_env' in value || key === 'process'
    return Object.fromEntries(Object.entries(value)
      .filter(([name]) => !(spawned && childInternals.has(name)))
      .map(([name, item]) => [text(name), walk(item, name, key)]))
  }
  return walk
}

function byId(a, b) {
  return String(a.pm2_env.pm_id).localeCompare(String(b.pm2_env.pm_id), 'en', { numeric: true })
}
