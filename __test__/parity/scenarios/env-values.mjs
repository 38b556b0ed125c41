export async function run(pm2, t) {
  process.env.FROM_CALLER = 'yes'
  await pm2.connect()
  const env = { TEXT: 'bar', NUMBER: 5, FLOAT: 1.5, YES: true, NO: false, EMPTY: '', NULL: null, OBJECT: { a: 1 }, LIST: [1, 'x'], UTF: 'grüße' }
  await pm2.start({ name: 'app', script: 'alive.js', env, env_production: { TEXT: 'other' } })
  const { pid } = await t.online('app')
  await t.snapshot()
  const own = t.environment(pid)
  t.record('seen by the app', Object.fromEntries([...Object.keys(env), 'FROM_CALLER'].map((key) => [key, own[key] ?? '(absent)'])))
  await pm2.with({ as: 'script form' }).start('other.js', { env: { TEXT: 'bar', NUMBER: 5, NULL: null, OBJECT: { a: 1 } } })
}
