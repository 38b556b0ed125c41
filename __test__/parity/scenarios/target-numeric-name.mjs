// A process named like a number is found by name before any id is.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'zero', script: 'alive.js' })
  await t.quiet.start({ name: '0', script: 'other.js' })
  await t.settled()
  await pm2.stop('0')
  await t.summary('list')
  await pm2.describe('0')
}
