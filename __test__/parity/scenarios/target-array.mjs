// npm pm2 throws inside its client; a list of targets is an addition of pm2-rs.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'one', script: 'alive.js' })
  await t.quiet.start({ name: 'two', script: 'other.js' })
  await pm2.with({ timeout: 3_000 }).stop(['one', 'two'])
}
