export const needs = ['python3']

export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'app', script: 'loop.py', args: ['a', 'b'] })
  await t.contains('logs/app-out.log', ']\n') // python writes in pieces
  t.file('logs/app-out.log')
  await t.snapshot()
  await pm2.with({ as: 'start with interpreter' }).start({ name: 'named', script: 'loop.py', interpreter: 'python3' })
  await t.contains('logs/named-out.log', 'python')
  await t.summary('list', 'exec_interpreter', 'PYTHONUNBUFFERED')
}
