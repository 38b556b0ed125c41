export async function run(pm2, t) {
  await pm2.connect()
  const options = { name: 'app', script: 'alive.js' }
  await pm2.start(options)
  await t.online('app')
  await t.contains('logs/app-out.log', 'alive\n')
  await t.snapshot()
  await pm2.describe('app')
  await pm2.with({ as: 'describe id' }).describe(0)
  await pm2.with({ as: 'describe id text' }).describe('0')
  t.tree()
  t.file('module_conf.json')
}
