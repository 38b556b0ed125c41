// What only start(script, options) knows.
import fs from 'node:fs'

export async function run(pm2, t) {
  await pm2.connect()
  const started = async (name, ...args) => {
    const { error, result } = await t.quiet.start(...args)
    const app = result?.[0]?.pm2_env
    const ignored = app?.ignore_watch?.filter((file) => !file.startsWith(t.cwd('config'))).sort()
    t.record(name, error ? String(error) : { id: app.pm_id, name: app.name, force: app.force, write: app.write, ignored })
  }
  fs.writeFileSync(t.cwd('sub/page.html'), '')
  fs.mkdirSync(t.cwd('sub/below'))
  fs.writeFileSync(t.cwd('sub/below/style.css'), '')
  await started('ext', 'alive.js', { name: 'ext', autostart: false, ext: 'js,html' })
  await started('ext in a folder', 'where.js', { name: 'ext2', autostart: false, ext: 'js,html', cwd: 'sub' })
  await started('ext and ignoreWatch', 'other.js', { name: 'ext3', autostart: false, ext: 'js,html', ignoreWatch: ['x'] })

  await started('first', 'binary.sh', { name: 'app', interpreter: 'none' })
  await started('same script', 'binary.sh', { name: 'other', interpreter: 'none' })
  await started('forced', 'binary.sh', { name: 'app', interpreter: 'none', force: true })
  await started('forced under another name', 'binary.sh', { name: 'third', interpreter: 'none', force: true })

  process.env.PWD = t.cwd()
  await started('write', 'other.js', { name: 'written', autostart: false, write: true, maxMemoryRestart: '5M', env: { A: 1 } })
  const file = t.cwd('written-pm2.json')
  t.record('written file', fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : null)
  await t.summary('list', 'force', 'write')
}
