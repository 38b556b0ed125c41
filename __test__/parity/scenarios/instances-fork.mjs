export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'app', script: 'instance.js', instances: 3, exec_mode: 'fork' })
  for (const id of [0, 1, 2]) await t.contains(`logs/app-out-${id}.log`, 'instance')
  await t.snapshot()
  t.tree()
  for (const id of [0, 1, 2]) t.file(`logs/app-out-${id}.log`)
  await pm2.delete(1)
  await pm2.with({ as: 'start another name' }).start({ name: 'next', script: 'alive.js' })
  await t.summary('ids', 'NODE_APP_INSTANCE')
  await pm2.stop('app')
}
