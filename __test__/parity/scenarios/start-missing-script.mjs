export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start('no-such-file.js')
  await pm2.with({ as: 'start object' }).start({ script: 'no-such-file.js' })
  await pm2.with({ as: 'start object without script' }).start({ name: 'x' })
  await pm2.with({ as: 'start unknown name' }).start('nothing-called-so')
  await pm2.with({ as: 'start unknown id' }).start('7')
  await pm2.list()
}
