export async function run(pm2, t) {
  await pm2.connect()
  const daemon = Number(t.read('pm2.pid'))
  await pm2.kill()
  await t.dead(daemon)
  t.tree()
}
