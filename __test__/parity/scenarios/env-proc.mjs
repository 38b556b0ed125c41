// The complete environment an app is executed with.
export async function run(pm2, t) {
  process.env.FROM_CALLER = 'yes'
  await pm2.connect()
  await t.quiet.start({ name: 'node', script: 'alive.js', env: { FOO: 'bar' }, port: 8123, max_memory_restart: '80M', kill_timeout: 700 })
  await t.quiet.start({ name: 'shell', script: './binary.sh', interpreter: 'none', args: 'x' })
  await t.quiet.start({ name: 'quiet', script: 'other.js', pmx: false })
  for (const name of ['node', 'shell', 'quiet']) t.environ(`environ ${name}`, (await t.online(name)).pid)
  await t.contains('logs/node-out.log', 'alive')
  await t.quiet.restart('node')
  await t.contains('logs/node-out.log', 'alive', 2)
  t.environ('environ node after restart', (await t.online('node', 1)).pid)
}
