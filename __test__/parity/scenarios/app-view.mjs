// What a Node app sees of itself.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'report.js', args: 'x' })
  await t.contains('logs/app-out.log', '"app"')
  t.json('logs/app-out.log')
}
