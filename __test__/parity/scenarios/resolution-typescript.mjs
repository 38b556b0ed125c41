// What runs TypeScript, by what is in PATH. Each case has a process of its own: npm pm2 looks once and remembers.
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { promisify } from 'node:util'

const versions = ['16.20.0', '20.11.1', '22.5.1', '22.6.0', '22.17.9', '22.18.0', '22.100.0', '23.0.0', '23.5.9', '23.6.0', '24.0.0', '100.0.0']
const starts = `
const pm2 = require(process.argv[1])
const apps = JSON.parse(process.argv[2])
const seen = []
pm2.connect(async () => {
  for (const app of apps) {
    const { error, result } = await new Promise((resolve) => pm2.start(app, (error, result) => resolve({ error, result })))
    if (error) {
      seen.push([error].flat()[0].message)
      continue
    }
    seen.push(result.map(({ pm2_env: env }) => [env.exec_interpreter ?? null, env.node_args, env.exec_mode, env.pm_exec_path]))
    await new Promise((resolve) => pm2.delete('app', resolve))
  }
  console.log(JSON.stringify(seen))
  pm2.disconnect(() => process.exit())
})`

export const limit = 90_000

export async function run(pm2, t) {
  const modules = Object.values(createRequire(import.meta.url).cache)
  const { filename } = modules.find(({ exports }) => exports === t.raw)
  const program = (name, text = '') => {
    const folder = path.join(t.root, 'found', name)
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(path.join(folder, path.basename(name)), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    return folder
  }
  for (const ending of ['ts', 'tsx', 'mts', 'cts']) fs.writeFileSync(t.cwd(`typed.${ending}`), 'text\n')
  const app = (more) => ({ name: 'app', autostart: false, script: t.cwd('typed.ts'), ...more })
  const apps = [app(), app({ script: t.cwd('typed.tsx') }), app({ script: t.cwd('typed.mts') }), app({ script: t.cwd('typed.cts') }), app({ node_args: ['--x'] }), app({ instances: 2 }), app({ interpreter: 'node' })]
  await pm2.connect()
  const attempt = async (title, ...folders) => {
    const shell = program('shell/sh')
    const env = { ...process.env, PATH: [...folders, path.dirname(shell)].join(':') }
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', starts, filename, JSON.stringify(apps)], { env, cwd: t.cwd() })
    const seen = JSON.parse(stdout)
    t.record(title, Object.fromEntries(['ts', 'tsx', 'mts', 'cts', 'with arguments', 'in a cluster', 'given node'].map((name, at) => [name, seen[at]])))
  }
  fs.mkdirSync(path.join(t.root, 'found', 'shell'), { recursive: true })
  for (const version of versions) await attempt(`node ${version}`, program(`${version}/node`, `echo v${version}`))
  await attempt('node that says something else', program('odd/node', 'echo nonsense'))
  await attempt('node that fails', program('failing/node', 'exit 1'))
  await attempt('bun', program('bun/bun'))
  await attempt('bun and an old node', program('bun/bun'), program('16.20.0/node', 'echo v16.20.0'))
  await attempt('tsx', program('tsx/tsx'))
  await attempt('tsx and an old node', program('tsx/tsx'), program('16.20.0/node', 'echo v16.20.0'))
  await attempt('ts-node', program('ts-node/ts-node'))
  await attempt('nothing')
}
