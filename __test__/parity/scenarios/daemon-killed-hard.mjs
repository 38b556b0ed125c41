// The daemon is killed hard; the next connect cleans up and starts another with an empty list.
export async function run(pm2, t) {
  await pm2.connect()
  const daemon = Number(t.read('pm2.pid'))
  await pm2.disconnect()
  process.kill(daemon, 'SIGKILL')
  await t.dead(daemon)
  await t.refused('rpc.sock')
  await t.refused('pub.sock')
  t.tree('files after the kill')
  await pm2.with({ as: 'connect again' }).connect()
  await pm2.list()
  t.record('another daemon', Number(t.read('pm2.pid')) !== daemon)
}
