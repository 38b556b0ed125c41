// Writes that are no whole lines, in every form. Each is a chunk of its own for who reads at once.
import fs from 'node:fs'

const script = `
  const pieces = ['par', 'tial\\nsecond', ' end\\n', 'a\\nb\\n\\nc\\n', 'no newline', '\\n', 'last\\n']
  const next = () => pieces.length > 0 && process.stdout.write(pieces.shift(), () => setTimeout(next, 150))
  next()
  setInterval(() => {}, 60000)`

export async function run(pm2, t) {
  await pm2.connect()
  fs.writeFileSync(t.cwd('pieces.js'), script)
  const apps = {
    plain: {},
    dated: { log_date_format: '[D]' },
    json: { log_type: 'json', log_date_format: '[D]' },
    'dated-worker': { log_date_format: '[D]', exec_mode: 'cluster' },
  }
  for (const [name, options] of Object.entries(apps)) {
    await t.quiet.start({ name, script: 'pieces.js', ...options })
  }
  for (const name of Object.keys(apps)) {
    const file = t.home('logs', name === 'dated-worker' ? 'dated-worker-out-3.log' : `${name}-out.log`)
    await t.contains(file, 'last')
    t.record(name, t.read(file).split('\n'))
  }
}
