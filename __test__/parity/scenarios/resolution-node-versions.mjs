// `node@version` through a folder of Node versions.
import fs from 'node:fs'
import path from 'node:path'
import { tryCases } from '../lib/option-cases.mjs'

export async function run(pm2, t) {
  const nvm = path.join(t.root, 'nvm')
  const node = (...folders) => {
    const file = path.join(nvm, ...folders, 'bin', 'node')
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, '#!/bin/sh\n', { mode: 0o755 })
  }
  for (const version of ['v16.20.0', 'v16.3.1', 'v18.0.0', 'v0.12.18']) node(...(version.startsWith('v0') ? [] : ['versions', 'node']), version)
  fs.writeFileSync(path.join(nvm, 'nvm.sh'), 'nvm() { echo "$@" >> "$NVM_DIR/asked"; }\n')
  await pm2.connect()
  const words = ['node@16.20.0', 'node@v16.20.0', 'node@16', 'node@16.20', 'node@18', 'node@18.0.0', 'node@0.12.18', 'node@0.12', 'node@99', 'node@99.1.2', 'node@lts', 'node@latest', 'node@', 'node@ 16', 'node@../x', 'node@16.20.0 ', 'nodejs@16', 'NODE@16.20.0']
  const cases = Object.fromEntries(words.map((interpreter) => [interpreter, { interpreter }]))
  const object = (given) => [{ name: 'app', script: 'alive.js', autostart: false, ...given }]
  const cluster = (given) => [{ name: 'app', script: 'alive.js', autostart: false, ...(given.interpreter && { exec_mode: 'cluster' }), ...given }]
  const asked = (name) => {
    t.file(path.join(nvm, 'asked'), name)
    fs.rmSync(path.join(nvm, 'asked'), { force: true })
  }
  t.record('no folder', await tryCases(t, cases, object))
  process.env.NVM_DIR = nvm
  t.record('versions', await tryCases(t, cases, object))
  asked('asked')
  t.record('versions in a cluster', await tryCases(t, cases, cluster))
  asked('asked for a cluster')
  t.record('with instances', await tryCases(t, { 'node@16.20.0': { interpreter: 'node@16.20.0', instances: 2 } }, object))
  process.env.NVM_DIR = path.join(t.root, 'missing')
  t.record('missing folder', await tryCases(t, { 'node@16.20.0': { interpreter: 'node@16.20.0' } }, object))
}
