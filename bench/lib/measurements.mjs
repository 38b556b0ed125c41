// Finds the measurements: every file in `measurements/` is one, named after the file.
//
// It exports `rows`, what it answers (see `rows.mjs`), and `measure({ load, home, module })`, which runs in a process
// of its own with an empty PM2 home and returns one number per row key. `load()` requires the module.
//
// It may export `sides`, the names of those it is for (see `sides.mjs`), and `prepare()`, which runs once before all.
// With `together = true` all sides run at the same time, and each does its work between `await turn()` and the next;
// `turn` is handed to `measure`, and each takes the same number of turns.

import { readdirSync } from 'node:fs'
import { sidesNamed } from './sides.mjs'

const folder = new URL('../measurements/', import.meta.url)
/** The order of the table; files that are not named here follow. */
const ORDER = ['require', 'connect', 'list', 'start', 'stop', 'delete', 'crash-restart', 'memory-limit', 'idle', 'daemon-memory', 'app-memory', 'cluster']

/** @param only names, all when undefined */
export async function loadMeasurements(only) {
  const found = readdirSync(folder)
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => name.slice(0, -'.mjs'.length))
  const names = [...new Set([...ORDER.filter((name) => found.includes(name)), ...found])]
  for (const name of only ?? []) {
    if (!names.includes(name)) throw new Error(`no measurement ${name}; there are ${names.join(', ')}`)
  }
  const chosen = names.filter((name) => only === undefined || only.includes(name))
  return Promise.all(
    chosen.map(async (name) => {
      const file = new URL(`${name}.mjs`, folder).href
      const { rows, sides, prepare, together = false } = await import(file)
      return { name, file, rows, sides: sidesNamed(sides), prepare, together }
    }),
  )
}
