export async function run(pm2) {
  await pm2.disconnect()
}
