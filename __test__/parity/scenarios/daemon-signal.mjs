// SIGTERM: the daemon saves the list, ends the apps and leaves.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js' })
  const { pid } = await t.online('app')
  await t.settled()
  const daemon = Number(t.read('pm2.pid'))
  await pm2.disconnect()
  process.kill(daemon, 'SIGTERM')
  await t.dead(daemon)
  t.record('app alive', t.alive(pid))
  t.tree()
  t.json('dump.pm2')
}
