// The forms of connect and disconnect that work.
export async function run(pm2, t) {
  await pm2.connect()
  await pm2.with({ as: 'connect, daemon alive' }).connect(false)
  await pm2.disconnect()
  await pm2.with({ as: 'list reconnects' }).list()
  await pm2.with({ as: 'close' }).close()
  await pm2.with({ as: 'connect again' }).connect()
  t.tree()
}
