// The process in which a measurement runs: `child.mjs {file, module, home, result}`.

import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const { file, module, home, result } = JSON.parse(process.argv[2])
const require = createRequire(import.meta.url)
const { measure } = await import(file)
writeFileSync(result, JSON.stringify(await measure({ load: () => require(module), module, home })))
// The caller ends the daemon and the apps.
process.exit(0)
