// What process.env of Node apps and other interpreters holds, and what an app passes on to an app that it starts.
import { inEnvironment } from '../lib/caller.mjs'
import { printed, recordStarts, seenBy } from '../lib/environment-cases.mjs'

export const needs = ['python3']

export async function run(pm2, t) {
  await pm2.connect()
  await recordStarts(t, {
    python: { start: [{ name: 'python', script: 'loop.py' }] },
    'python, own value': { start: [{ name: 'python-own', script: 'loop.py', env: { PYTHONUNBUFFERED: '0' } }] },
    'python, inherited value': { caller: { PYTHONUNBUFFERED: 'x' }, start: [{ name: 'python-inherited', script: 'loop.py' }] },
    bash: { start: [{ name: 'bash', script: 'loop.sh' }] },
  })
  for (const [title, args] of Object.entries({ 'a command': [{ name: 'command', script: 'sleep 300' }], 'a command as text': ['sleep 301', { name: 'command-text' }] })) {
    await inEnvironment({}, () => t.quiet.start(...args))
    const { pid } = (await t.all()).at(-1)
    await t.until('the shell has become the command', () => t.read(`/proc/${pid}/comm`) === 'sleep\n')
    t.environ(title, pid)
  }
  await t.quiet.delete('all')

  const apps = {
    object: [{ name: 'object', script: 'print-env.js', env: { OWN: '1', OBJECT: { a: 1 } } }],
    script: ['print-env.js', { name: 'script', env: { OWN: '1', OBJECT: { a: 1 } } }],
    agentless: [{ name: 'agentless', script: 'print-env.js', pmx: false, node_args: '--no-warnings' }],
    'node options': [{ name: 'options', script: 'print-env.js', env: { NODE_OPTIONS: '--no-warnings' } }],
    'source maps off': [{ name: 'maps', script: 'print-env.js', disable_source_map_support: true }],
  }
  for (const [title, args] of Object.entries(apps)) {
    await inEnvironment({}, () => t.quiet.start(...args))
    const { pm2_env: app } = (await t.all()).at(-1)
    const seen = await printed(t, app.pm_out_log_path)
    t.record(title, seen)
    if (title !== 'object') continue
    // As if this script were that app.
    const inner = { ...seen, FROM_OUTER: 'yes' }
    await inEnvironment(inner, async () => {
      await t.quiet.start({ name: 'inner', script: '/bin/sleep', args: '300', interpreter: 'none' })
      await t.quiet.start('/bin/sleep', { name: 'inner-script', scriptArgs: ['300'], interpreter: 'none' })
    })
    t.record('app of an app, object', await seenBy(t, 'inner'))
    t.record('app of an app, script', await seenBy(t, 'inner-script'))
  }
}
