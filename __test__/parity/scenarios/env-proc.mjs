// The complete environment an app is executed with.
import fs from 'node:fs'

export async function run(pm2, t) {
  process.env.FROM_CALLER = 'yes'
  await pm2.connect()
  await t.quiet.start({ name: 'node', script: 'alive.js', env: { FOO: 'bar' }, port: 8123, max_memory_restart: '80M', kill_timeout: 700 })
  await t.quiet.start({ name: 'shell', script: './binary.sh', interpreter: 'none', args: 'x' })
  await t.quiet.start({ name: 'quiet', script: 'other.js', pmx: false })
  const { pid } = await t.online('shell')
  // The shell adds to the environment of the program that takes its place.
  await t.until('the script has become its program', () => fs.readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n')
  for (const name of ['node', 'shell', 'quiet']) t.environ(`environ ${name}`, (await t.online(name)).pid)
  await t.contains('logs/node-out.log', 'alive')
  await t.quiet.restart('node')
  await t.contains('logs/node-out.log', 'alive', 2)
  t.environ('environ node after restart', (await t.online('node', 1)).pid)
}
