export async function run(pm2, t) {
  await pm2.connect()
  const forms = {
    text: { args: "one --two=2 'three four' \"five six\"" },
    array: { args: ['one', 'two three', 4] },
    empty: { args: '' },
    node: { args: 'x', node_args: '--no-warnings --max-old-space-size=64' },
    interpreterArgs: { interpreter_args: ['--no-warnings'] },
  }
  for (const [name, more] of Object.entries(forms)) {
    await t.quiet.start({ name, script: 'report.js', ...more })
    await t.contains(`logs/${name}-out.log`, '"app"')
    t.json(`logs/${name}-out.log`)
  }
  await t.summary('list', 'args', 'node_args')
}
