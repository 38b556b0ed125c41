export async function run(pm2) {
  await pm2.connect()
  await pm2.disconnect()
  await pm2.disconnect()
}
