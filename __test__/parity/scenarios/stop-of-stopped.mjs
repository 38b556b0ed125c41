export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js' })
  await t.quiet.stop('app')
  await pm2.with({ as: 'stop again' }).stop('app')
  await pm2.with({ as: 'stop again by id' }).stop(0)
  await pm2.with({ as: 'delete stopped' }).delete('app')
  await pm2.with({ as: 'delete again' }).delete('app')
}
