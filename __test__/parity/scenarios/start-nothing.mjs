// Empty lists and objects.
export async function run(pm2) {
  await pm2.connect()
  await pm2.with({ as: 'empty object' }).start({})
  await pm2.with({ as: 'empty array' }).start([])
  await pm2.with({ as: 'empty apps' }).start({ apps: [] })
  await pm2.list()
}
