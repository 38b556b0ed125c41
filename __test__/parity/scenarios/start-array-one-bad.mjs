// One entry cannot be resolved, the others run.
export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start([
    { name: 'good', script: 'alive.js' },
    { name: 'bad', script: 'no-such-file.js' },
    { name: 'fine', script: 'other.js' },
  ])
  await t.online('good')
  await t.online('fine')
  await t.summary('list')
}
