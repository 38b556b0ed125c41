export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start('report.js', {
    name: 'app', namespace: 'group', scriptArgs: ['a', 'b c'], maxMemoryRestart: '100M', minUptime: '2s', maxRestarts: 3,
    killTimeout: 500, autorestart: false, env: { FOO: 'bar', NUM: 5 }, outFile: 'own/out.log', errorFile: 'own/err.log', nodeArgs: '--no-warnings',
  })
  await t.online('app')
  await t.contains(t.cwd('own/out.log'), '"app":"app"')
  t.file(t.cwd('own/out.log'), 'out log')
  await t.snapshot()
}
