export async function run(pm2, t) {
  await pm2.connect()
  const targets = { name: 'nope', regex: '/nope/', id: 99, 'id text': '99' }
  await pm2.with({ as: 'stop all, empty list' }).stop('all')
  await pm2.with({ as: 'restart all, empty list' }).restart('all')
  await pm2.with({ as: 'delete all, empty list' }).delete('all')
  await t.quiet.start({ name: 'app', script: 'alive.js' })
  for (const method of ['stop', 'restart', 'reload', 'delete']) {
    for (const [title, target] of Object.entries(targets)) await pm2.with({ as: `${method} ${title}` })[method](target)
  }
  await pm2.with({ as: 'describe name' }).describe('nope')
  await pm2.with({ as: 'describe id' }).describe(99)
  await t.summary('list', 'restart_time')
}
