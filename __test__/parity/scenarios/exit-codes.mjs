export async function run(pm2, t) {
  await pm2.connect()
  const once = { autorestart: false }
  for (const code of [0, 1, 42, 255]) await t.quiet.start({ name: `code ${code}`, script: 'exit.js', args: String(code), ...once })
  await t.quiet.start({ name: 'uncaught', script: 'throw.js', ...once })
  await t.quiet.start({ name: 'shell', script: 'binary-crash.sh', interpreter: 'none', ...once })
  await t.until('all ended', async () => (await t.all()).every(({ pm2_env: env }) => env.status === 'stopped'))
  await t.summary('list', 'exit_code', 'restart_time')
}
