export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'app', script: './binary.sh', interpreter: 'none', args: ['a b', 'c'] })
  await t.contains('logs/app-out.log', 'direct')
  t.file('logs/app-out.log')
  await t.snapshot()
  await pm2.stop('app')
}
