export async function run(pm2, t) {
  process.env.COLOUR = 'blue'
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js', env: { OWN: '1' } })
  await t.online('app')
  process.env.COLOUR = 'red'
  process.env.ADDED = 'yes'
  await pm2.with({ as: 'restart' }).restart('app')
  await t.online('app', 1)
  await t.summary('without updateEnv', 'COLOUR', 'ADDED', 'OWN')
  await pm2.with({ as: 'restart with updateEnv' }).restart('app', { updateEnv: true })
  const { pid } = await t.online('app', 2)
  await t.summary('with updateEnv', 'COLOUR', 'ADDED', 'OWN')
  const { COLOUR, ADDED, OWN } = t.environment(pid)
  t.record('seen by the app', { COLOUR, ADDED, OWN })
  await t.snapshot()
}
