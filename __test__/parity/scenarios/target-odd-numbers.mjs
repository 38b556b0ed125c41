// Texts that are numbers to JavaScript and name no process.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'zero', script: 'alive.js' })
  await t.settled()
  for (const text of ['00', '-0', '+0', ' 0', '0 ', '', '0x0', 'Infinity', 'nan']) {
    await pm2.with({ as: `stop ${JSON.stringify(text)}` }).stop(text)
    await pm2.with({ as: `restart ${JSON.stringify(text)}` }).restart(text)
    await pm2.with({ as: `delete ${JSON.stringify(text)}` }).delete(text)
  }
  await t.summary('list')
}
