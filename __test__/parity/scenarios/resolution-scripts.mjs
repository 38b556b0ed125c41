// Where a script is looked for: the folder of the app, then PATH; what has a space is a command.
import fs from 'node:fs'
import path from 'node:path'
import { tryCases } from '../lib/option-cases.mjs'

export const limit = 90_000

export async function run(pm2, t) {
  const bin = path.join(t.root, 'bin')
  const text = 'setInterval(() => {}, 1 << 30)\n'
  const write = (file, content = text, mode = 0o644) => {
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, content, { mode })
  }
  write(t.cwd('with space.js'))
  write(t.cwd('ünï 🐎.js'))
  write(t.cwd('ünï.js'))
  write(t.cwd('back\\slash.js'))
  write(t.cwd('tool'))
  write(t.cwd('own', 'sub', 'deep.js'))
  write(t.cwd('two words', 'where.js'))
  write(t.cwd('~', 'odd.js'))
  write(path.join(t.root, 'user', 'at-home.js'))
  write(path.join(bin, 'tool'), '#!/bin/sh\n', 0o755)
  write(path.join(bin, 'in-path'), '#!/bin/sh\n', 0o755)
  write(path.join(bin, 'in-path.js'), text, 0o755)
  write(path.join(bin, 'no-mode'), '#!/bin/sh\n', 0o644)
  write(path.join(bin, 'dir', 'deep-tool'), '#!/bin/sh\n', 0o755)
  fs.mkdirSync(path.join(bin, 'folder-in-path'))
  fs.symlinkSync('alive.js', t.cwd('link.js'))
  fs.symlinkSync('missing.js', t.cwd('dangling.js'))
  fs.symlinkSync('sub', t.cwd('sub-link'))
  fs.symlinkSync('loop.js', t.cwd('loop.js'))
  fs.writeFileSync(t.cwd('unreadable.js'), text, { mode: 0o000 })
  await pm2.connect()

  const scripts = [
    'alive.js', './alive.js', './/alive.js', 'sub/where.js', 'sub/../alive.js', t.cwd('alive.js'), `${t.cwd()}//alive.js`, path.join('..', path.basename(t.cwd()), 'alive.js'),
    'alive', 'ALIVE.JS', 'alive.js/', 'missing.js', '/missing/missing.js', 'missing', 'sub', './sub', 'sub/', '.', '..', t.cwd('sub'),
    'link.js', 'dangling.js', 'sub-link/where.js', 'sub-link', 'loop.js', 'unreadable.js',
    'in-path', 'in-path.js', 'no-mode', 'tool', './tool', 'dir/deep-tool', 'folder-in-path', 'sh', '/bin/sh', 'bin/sh', 'node', 'ls',
    '~', '~/at-home.js', '~/odd.js', './~/odd.js', '$HOME/at-home.js', '${HOME}/at-home.js', 'file:///bin/sh', 'http://localhost/x.js', '*.js', 'alive.?s', '-', '--', '-v',
    'ünï.js', 'back\\slash.js', 'alive.js?x=1', 'alive.js#x', 'alive.js:10', 'alive.js\n', '\talive.js', 'C:\\alive.js', '"alive.js"', "'alive.js'", `${'x'.repeat(300)}.js`
  ]
  const commands = [
    'with space.js', './with space.js', t.cwd('with space.js'), 'ünï 🐎.js', 'two words/where.js', ' alive.js', 'alive.js ', ' ', 'node alive.js', 'echo "a b"', "echo 'a b'", 'echo a\\ b', 'echo $HOME',
    'sleep 1000', 'sleep 1000 && echo x', 'a | b', 'missing command', 'echo "', 'x'.repeat(300) + ' y', 'npm run start', 'KEY=value node alive.js', 'echo a; echo b', 'echo\ta', 'a\nb c', '~/at-home.js x', './sub/where.js x', '/bin/echo x',
    'echo ü 🐎', 'a/b/c d', '-c x'
  ]
  const object = (given) => [{ autostart: false, script: 'other.js', ...given }]
  const named = (list) => Object.fromEntries(list.map((script) => [script.length > 50 ? `${script.slice(0, 50)}…` : script, { script }]))
  t.record('object', await tryCases(t, named(scripts), object))
  t.record('text', await tryCases(t, named(scripts), ({ script = 'other.js' }) => [script, { autostart: false }]))
  t.record('commands', await tryCases(t, named(commands), object))
  t.record('commands as text', await tryCases(t, named(commands), ({ script = 'other.js' }) => [script, { autostart: false }]))
  t.record('commands with options', await tryCases(t, {
    args: { script: 'echo a', args: 'b c' }, name: { script: 'echo a', name: 'named' }, interpreter: { script: 'echo a', interpreter: 'node' }, 'interpreter none': { script: 'echo a', interpreter: 'none' },
    instances: { script: 'echo a', instances: 2 }, cluster: { script: 'echo a', exec_mode: 'cluster' }, cwd: { script: 'echo a', cwd: 'sub' }, cmd: { script: undefined, cmd: 'echo a' },
    command: { script: undefined, command: 'echo a b' }, 'node_args': { script: 'echo a', node_args: '--x' }, 'cmd of a file': { script: undefined, cmd: 'alive.js' }, 'command of a file': { script: undefined, command: './alive.js', name: 'n' }
  }, object))

  const folders = [
    { cwd: 'sub', script: 'where.js' }, { cwd: './sub', script: './where.js' }, { cwd: 'sub/', script: 'where.js' }, { cwd: t.cwd('sub'), script: 'where.js' }, { cwd: 'sub', script: 'alive.js' },
    { cwd: 'sub', script: '../alive.js' }, { cwd: 'sub', script: t.cwd('alive.js') }, { cwd: 'sub', script: 'in-path' }, { cwd: 'missing', script: 'alive.js' }, { cwd: 'missing', script: t.cwd('alive.js') },
    { cwd: 'missing', script: 'in-path' }, { cwd: 'alive.js', script: 'other.js' }, { cwd: 'alive.js', script: t.cwd('other.js') }, { cwd: '.', script: 'alive.js' }, { cwd: '..', script: 'work/alive.js' },
    { cwd: 'own/sub', script: 'deep.js' }, { cwd: 'sub-link', script: 'where.js' }, { cwd: 'two words', script: 'where.js' }, { cwd: '~', script: 'odd.js' }, { cwd: '~', script: 'at-home.js' }, { cwd: '/', script: 'bin/sh' },
    { cwd: '/', script: 'alive.js' }, { cwd: '', script: 'alive.js' }, { cwd: 'sub/../own', script: 'sub/deep.js' }, { cwd: 'ünï', script: t.cwd('alive.js') }, { cwd: '$HOME', script: t.cwd('alive.js') },
    { cwd: ' ', script: t.cwd('alive.js') }, { cwd: 'own/sub', script: './deep.js', output: 'own.log', pid: 'own.pid' }, { cwd: 'sub', script: 'where.js x' }
  ]
  const located = Object.fromEntries(folders.map((given) => [`${given.cwd} ∋ ${given.script}`.replaceAll(t.cwd(), '<CWD>'), given]))
  t.record('folders', await tryCases(t, located, object))
  t.record('folders beside a script', await tryCases(t, located, ({ script = 'other.js', ...options }) => [script, { autostart: false, ...options }]))
}
