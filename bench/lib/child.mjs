// The process in which a measurement runs: `child.mjs {file, module, home, result, input}`.

import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const { file, module, home, result, input } = JSON.parse(process.argv[2])
const require = createRequire(import.meta.url)
const { measure } = await import(file)
writeFileSync(result, JSON.stringify(await measure({ load: () => require(module), module, home, input, turn })))
// The caller ends the daemon and the apps.
process.exit(0)

/** Waits until it is this process' turn, which lasts until it asks for the next one. */
function turn() {
  return new Promise((resolve) => {
    process.once('message', resolve)
    process.send('turn')
  })
}
