// Dies at once: sixteen attempts by default, then errored.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'default', script: 'binary-crash.sh', interpreter: 'none' })
  await t.quiet.start({ name: 'three', script: 'throw.js', max_restarts: 3 })
  await t.status('default', 'errored')
  await t.status('three', 'errored')
  await t.snapshot()
  await t.contains('logs/three-error.log', 'thrown on purpose', 3)
}
