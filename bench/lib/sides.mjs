// The two modules that are compared: npm pm2 as installed here, and the build in this checkout. Beside them, for
// measurements that ask for it, what Node can do without a process manager.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = fileURLToPath(new URL('../../', import.meta.url))

/** `{name, version, module}`, the yardstick first; `module` is an absolute path for `require`. */
export const sides = [
  { name: 'pm2', version: require('pm2/package.json').version, module: require.resolve('pm2') },
  { name: 'pm2-rs', version: require('../../package.json').version, module: path.join(root, 'index.js') },
]

const bare = { name: 'bare', version: process.version, module: path.join(root, 'bench/lib/node-cluster.cjs') }

/** @param names `undefined`: the two that are compared */
export function sidesNamed(names) {
  return names === undefined ? sides : [bare, ...sides].filter(({ name }) => names.includes(name))
}

/** @throws {Error} when the native parts are missing or are not optimised builds. */
export function checkBuild() {
  const addon = readdirSync(root).find((name) => name.endsWith('.node'))
  for (const name of [addon ?? 'pm2-rs.*.node', 'pm2-rs']) {
    const file = path.join(root, name)
    if (!existsSync(file)) throw new Error(`${file} is missing: npm run build`)
    // A name in the table of section names: release builds are stripped.
    if (readFileSync(file).includes('\0.debug_info\0')) throw new Error(`${file} is a debug build: npm run build`)
  }
}
