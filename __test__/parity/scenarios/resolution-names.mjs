// Names from scripts, files from names, and namespaces.
import fs from 'node:fs'
import path from 'node:path'
import { tryCases } from '../lib/option-cases.mjs'

export const limit = 60_000

export async function run(pm2, t) {
  await pm2.connect()
  const scripts = [
    'plain.js', 'a.b.c.js', '.hidden', '.hidden.js', 'noext', 'ends.', 'two..js', 'UPPER.JS', 'dash-ed_under.js', '123.js', '1.5', 'all.js', 'ünï 🐎.js', 'a b.js', 'back\\slash.js', 'a:b.js', 'x.tar.gz', '.js', '..js', 'a.mjs', 'a.cjs',
    'quo"te.js', "it's.js", 'new\nline.js', 'pm2.js', 'index.js', 'deep/er/index.js', 'with.dots/noext', 'default.js', '%20.js', '(a).js', 'a@1.js', '{a}.js'
  ]
  for (const script of scripts) {
    fs.mkdirSync(path.dirname(t.cwd('names', script)), { recursive: true })
    fs.writeFileSync(t.cwd('names', script), 'setInterval(() => {}, 1 << 30)\n')
  }
  const object = (given) => [{ autostart: false, script: t.cwd('alive.js'), ...given }]
  const byScript = Object.fromEntries(scripts.map((script) => [script, { script: t.cwd('names', script) }]))
  t.record('from scripts', await tryCases(t, byScript, object))
  t.record('from scripts as text', await tryCases(t, byScript, ({ script = t.cwd('alive.js') }) => [script, { autostart: false }]))

  const names = [
    'plain', 'a b', 'a/b', '/a/b/', '../up', '..', '.', '...', '.hidden', 'a.b.js', 'a\\b', 'C:\\x', 'a:b', 'a*b?', '@scope/pkg', 'ünï', '日本', '🐎', 'e\u0301', 'a\tb', 'a\nb', 'a\u0000b', ' lead', 'trail ', ' ', '-', '--x', '5', '05', '1.5', 'all',
    '/regex/', 'name.json', 'x-out', 'x-error-1', 'NULL', 'null', 'undefined', 'env', 'name', 'PATH', 'a=b', 'a,b', "it's", '"x"', '<x>', '$HOME', '~', '~/x', 'a|b', 'a&b', '%x', 'x'.repeat(100),
    'ä'.repeat(40), '\u202eabc', '\ud800', 'A', 'a_b', 'a+b', '[a]', '(a)', '{a}', '#a', '!a', 'a;b', '<%= x %>', '<%= username %>', '${x}', 'pm2', 'PM2', 'max', 'true'
  ]
  const named = Object.fromEntries(names.map((name) => [JSON.stringify(name).slice(0, 60), { name }]))
  t.record('names', await tryCases(t, named, object))
  t.record('names beside a script', await tryCases(t, named, ({ name = 'alive' }) => [t.cwd('alive.js'), { autostart: false, name }]))
  t.record('names of two', await tryCases(t, named, ({ name = 'alive' }) => object({ name, instances: 2, exec_mode: 'fork' })))

  const namespaces = ['plain', 'a b', 'a/b', 'default', 'all', '5', 'ünï 🐎', '', ' ', '/x/', 'x.json', '<%= x %>']
  const spaced = Object.fromEntries(namespaces.map((namespace) => [JSON.stringify(namespace), { namespace }]))
  t.record('namespaces', await tryCases(t, spaced, object))
  t.record('namespaces beside a script', await tryCases(t, spaced, (given) => [t.cwd('alive.js'), { autostart: false, ...given }]))
}
