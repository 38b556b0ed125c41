export async function run(pm2, t) {
  await pm2.connect()
  await pm2.with({ as: 'not in PATH' }).start({ name: 'a', script: 'alive.js', interpreter: 'no-such-interpreter' })
  await pm2.with({ as: 'script form' }).start('alive.js', { name: 'b', interpreter: 'no-such-interpreter' })
  await pm2.with({ as: 'absolute path' }).start({ name: 'c', script: 'alive.js', interpreter: '/no/such/interpreter' })
  await pm2.with({ as: 'bad shebang' }).start({ name: 'd', script: './bad-shebang.sh', interpreter: 'none' })
  await t.summary('list')
}
