// How a text is split into arguments.
import { spelled, tryCases } from '../lib/option-cases.mjs'

const lines = [
  'a', 'a b', ' a  b ', 'a\tb', 'a\nb', '"a b"', "'a b'", '"a b" c', "a 'b c' d", '--x="1 2"', "--x='1 2' y", '--x="1 2', 'a"b c"d', '""', "''", '"" a', '"a', "it's", 'a\\ b', 'a\\"b', '\\"a b\\"', '$HOME', '*',
  '--a=b=c', '-- --x', '--x="1 2"y z', '"a\'b c"', "'a\"b'", 'ü "ö ä"', '" a "', 'a,b', '[1, 2]', '{"a": 1}', '--json={"a":"b c"}', '"a""b"', "a=''", '="x y"', 'k="v w" m="n o"',
]

export async function run(pm2, t) {
  await pm2.connect()
  const object = (given) => [{ name: 'app', script: 'alive.js', autostart: false, ...given }]
  const script = (given) => ['alive.js', { name: 'app', autostart: false, ...given }]
  for (const option of ['args', 'node_args', 'ignore_watch']) t.record(option, await tryCases(t, spelled(option, lines), object))
  t.record('beside a script', await tryCases(t, spelled('interpreterArgs', lines), script))
}
