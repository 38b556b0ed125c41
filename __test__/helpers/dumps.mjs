// Saved process lists of real npm pm2 versions; see fixtures/dumps/capture.mjs.

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'

const folder = fileURLToPath(new URL('../fixtures/dumps/', import.meta.url))

/** Names of the captured files, `<version>-<how>.pm2`. */
export const captures = readdirSync(folder)
  .filter((name) => name.endsWith('.pm2'))
  .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))

/** A path of one of the scripts that the captured lists run. */
export const script = (name) => path.join(folder, 'apps', name)

/**
 * Makes a captured list the one of a home, whose folder also gets the scripts, in `apps`.
 * @returns the text as it is in the file now
 */
export function place(capture, home) {
  const apps = path.join(home, 'apps')
  cpSync(path.join(folder, 'apps'), apps, { recursive: true })
  for (const made of [path.join(home, 'user'), path.join(apps, 'own')]) mkdirSync(made, { recursive: true })
  const search = [path.dirname(process.execPath), '/usr/bin', '/bin'].join(':')
  const text = readFileSync(path.join(folder, capture), 'utf8')
    .replaceAll('<DIR>', apps)
    .replaceAll('<HOME>', home)
    .replaceAll('<ROOT>', home)
    .replaceAll('<PATH>', search)
  writeFileSync(path.join(home, 'dump.pm2'), text)
  return text
}

/** The entries of a list: the oldest versions saved JavaScript literals that are no JSON. */
export function parse(text) {
  // Back through JSON, so that they are objects of this realm.
  return JSON.parse(JSON.stringify(runInNewContext(`(${text})`)))
}
