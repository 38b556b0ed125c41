// Lines to standard input.
import { outcome, shell, sleeper } from '../lib/policy-cases.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start(shell('cat', 'echo begun; exec cat'))
  await t.quiet.start(sleeper('deaf'))
  await t.quiet.start(sleeper('stopped'))
  await t.quiet.stop('stopped')
  await t.quiet.start({ name: 'worker', script: 'alive.js', exec_mode: 'cluster' })
  await t.contains('logs/cat-out.log', 'begun')
  let written = 'begun\n'
  const remote = async (name, packet) => t.record(name, outcome(await t.quiet.client.executeRemote('sendLineToStdin', packet)))
  // The module ends every line itself.
  const send = async (name, args, text = null) => {
    t.record(name, outcome(await t.quiet.sendLineToStdin(...args)))
    if (text !== null) written += `${text}\n`
    await t.until(`${name} arrives`, () => (t.read('logs/cat-out.log') ?? '').length >= written.length)
    t.record(`${name}: output`, t.read('logs/cat-out.log'))
  }
  await send('a line', [0, 'one\n'], 'one\n')
  await send('the id as text', ['0', 'two\n'], 'two\n')
  await send('no line break', [0, 'four'], 'four')
  await send('several lines', [0, '\nfive\nsix\n'], '\nfive\nsix\n')
  await send('beyond ASCII', [0, 'ünï 🐎\n'], 'ünï 🐎\n')
  await send('to the deaf', [1, 'x\n'])
  await send('to a stopped one', [2, 'x\n'])
  await send('to a worker', [3, 'x\n'])
  await send('to nobody', [99, 'x\n'])
  await send('to a name', ['cat', 'x\n'])
  await send('an empty line', [0, ''], '')
  await t.quiet.restart('cat')
  await t.contains('logs/cat-out.log', 'begun', 2)
  written += 'begun\n'
  await send('after a restart', [0, 'seven\n'], 'seven\n')
  await remote('a packet without a line', { pm_id: 0 })
  await remote('a packet without an id', { line: 'x\n' })
  await remote('an unknown id in a packet', { pm_id: 99, line: 'x\n' })
}
