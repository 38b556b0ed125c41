export async function run(pm2, t) {
  await pm2.connect()
  await pm2.dump()
  t.file('dump.pm2')
  await pm2.with({ as: 'dump forced' }).dump(true)
  t.file('dump.pm2', 'dump after force')
  await pm2.clearDump()
  t.file('dump.pm2', 'dump after clear')
  await pm2.autodump()
  t.tree()
}
