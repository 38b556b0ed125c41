// Events of one app's life, as `event` names and log packets.
export async function run(pm2, t) {
  await pm2.connect()
  const { result: bus } = await t.quiet.launchBus()
  const events = []
  const logs = []
  bus.on('process:event', ({ event, manually, process }) => events.push({ event, manually, name: process.name, status: process.status, id: process.pm_id }))
  bus.on('log:*', (type, packet) => {
    if (packet.process?.name === 'app') logs.push({ type, data: packet.data, name: packet.process.name, id: packet.process.pm_id, keys: Object.keys(packet).sort() })
  })
  await t.sleep(200) // the subscription has no answer
  await t.quiet.start({ name: 'app', script: 'alive.js' })
  await t.until('the line is on the bus', () => logs.length > 0)
  await t.online('app')
  await t.quiet.restart('app')
  await t.contains('logs/app-out.log', 'alive', 2)
  await t.quiet.stop('app')
  await t.quiet.restart('app')
  await t.contains('logs/app-out.log', 'alive', 3)
  await t.quiet.delete('app')
  await t.until('all three ends are on the bus', () => events.filter(({ event, status }) => event === 'exit' && status === 'stopped').length === 3)
  await t.sleep(300) // for events that come after the last one waited for
  t.record('events', events)
  t.record('logs', logs)
}
