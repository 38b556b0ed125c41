export async function run(pm2, t) {
  process.env.SECRET_A = '1'
  process.env.SECRET_B = '2'
  process.env.PUBLIC = '3'
  await pm2.connect()
  await pm2.start({ name: 'app', script: 'alive.js', filter_env: ['SECRET'] })
  const own = t.environment((await t.online('app')).pid)
  t.record('seen by the app', { a: own.SECRET_A ?? null, b: own.SECRET_B ?? null, public: own.PUBLIC ?? null })
}
