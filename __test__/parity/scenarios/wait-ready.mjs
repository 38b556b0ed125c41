export async function run(pm2, t) {
  await pm2.connect()
  const began = Date.now()
  const starting = pm2.start({ name: 'app', script: 'ready.js', args: '500', wait_ready: true })
  const { pm2_env: env } = await t.until('it is listed', () => t.proc('app'))
  t.record('status before ready', env.status)
  await starting
  const took = Date.now() - began
  t.record('time', took >= 500 && took < 2_800 ? 'when ready was sent' : `${took} ms`)
  await t.snapshot()
}
