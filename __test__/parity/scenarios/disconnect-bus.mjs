export async function run(pm2, t) {
  await pm2.connect()
  const { result: bus } = await t.quiet.launchBus()
  bus.on('*', () => {})
  await pm2.disconnect()
}
