export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'list', script: 'exit.js', args: '7 50', stop_exit_codes: [5, 7] })
  await t.quiet.start({ name: 'one', script: 'exit.js', args: '7 50', stop_exit_codes: [7] })
  await t.quiet.start({ name: 'text', script: 'exit.js', args: '7 50', stop_exit_codes: '7' })
  await t.quiet.start({ name: 'other', script: 'exit.js', args: '8 50', stop_exit_codes: [7], max_restarts: 1 })
  for (const name of ['list', 'one', 'text']) await t.status(name, 'stopped')
  await t.status('other', 'errored')
  await t.snapshot()
}
