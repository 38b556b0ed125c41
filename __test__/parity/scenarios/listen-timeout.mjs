// Never says ready: online after listen_timeout, without an error.
export async function run(pm2, t) {
  await pm2.connect()
  const began = Date.now()
  await pm2.start({ name: 'app', script: 'ready.js', args: '600000', wait_ready: true, listen_timeout: 700 })
  const took = Date.now() - began
  t.record('time', took >= 700 && took < 2_500 ? 'after listen_timeout' : `${took} ms`)
  await t.summary('list')
  await pm2.with({ as: 'start of one that dies' }).start({ name: 'dies', script: 'exit.js', args: '1', wait_ready: true, listen_timeout: 5_000, autorestart: false })
  await t.status('dies', 'stopped')
  await t.summary('list at the end', 'exit_code')
}
