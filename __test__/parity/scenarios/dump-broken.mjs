// A list that cannot be read, with and without a backup.
import fs from 'node:fs'

export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js' })
  await t.online('app')
  await t.quiet.dump()
  const saved = t.read('dump.pm2')
  await t.quiet.delete('all')
  const broken = { truncated: saved.slice(0, -20), empty: '', 'not a list': 'nonsense', 'half a line': '[{"name":' }
  for (const [name, text] of Object.entries(broken)) {
    fs.writeFileSync(t.home('dump.pm2'), text)
    fs.writeFileSync(t.home('dump.pm2.bak'), saved)
    const { error, answered } = await t.quiet.resurrect()
    t.record(`resurrect ${name}`, { answered, error: error === null ? null : String(error) })
    await t.summary(`list ${name}`)
    await t.quiet.delete('all')
    t.record(`kept ${name}`, t.exists('dump.pm2'))
  }
  fs.rmSync(t.home('dump.pm2'), { force: true })
  const { error, answered } = await t.quiet.resurrect()
  t.record('resurrect from the backup', { answered, error: error === null ? null : String(error) })
  await t.summary('list from the backup')
  await t.quiet.delete('all')
  fs.rmSync(t.home('dump.pm2.bak'))
  await pm2.with({ as: 'resurrect of nothing', timeout: 1000 }).resurrect()
}
