// Which program runs a script: by its ending, by its content, or as given, with different programs in PATH.
import fs from 'node:fs'
import path from 'node:path'
import { tryCases } from '../lib/option-cases.mjs'

export const limit = 90_000

const endings = ['js', 'mjs', 'cjs', 'jsx', 'py', 'pyc', 'pyw', 'sh', 'bash', 'zsh', 'rb', 'php', 'pl', 'ts', 'tsx', 'mts', 'cts', 'd.ts', 'coffee', 'ls', 'lua', 'go', 'exe', 'jar', 'txt', 'JS', 'PY', 'Ts', 'js.bak', 'node', 'wasm', 'html']
const contents = {
  empty: '', text: 'just text\n', 'shell script': '#!/bin/sh\nsleep 1\n', 'node script': '#!/usr/bin/env node\n', 'python script': '#!/usr/bin/python3\n', utf8: 'ünï\n', latin1: Buffer.from([0x75, 0xfc, 0x6e, 0x0a]),
  'with a zero': Buffer.from('a\0b'), elf: Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0]), utf16: Buffer.from('\ufefftext', 'utf16le'), mark: '\ufefftext', controls: Buffer.from([1, 2, 3, 4, 5, 6]), 'late zero': Buffer.concat([Buffer.alloc(2000, 'a'), Buffer.alloc(1)]),
  'few odd bytes': Buffer.concat([Buffer.alloc(100, 'a'), Buffer.from([0x80, 0x81])]), 'escape codes': '\x1b[31mred\x1b[0m', jpeg: Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10]), pdf: '%PDF-1.4\n', gzip: Buffer.from([0x1f, 0x8b, 8, 0]), 'one newline': '\n'
}

export async function run(pm2, t) {
  const put = (folder, ...names) => {
    const dir = path.join(t.root, folder)
    fs.mkdirSync(dir, { recursive: true })
    for (const name of names) fs.writeFileSync(path.join(dir, name), '#!/bin/sh\n', { mode: 0o755 })
    return dir
  }
  const every = put('every', 'bun', 'ruby', 'php', 'perl', 'python', 'python3', 'bash', 'node', 'coffee', 'lsc', 'deno', 'tsx', 'ts-node', 'zsh')
  const python3 = put('python3', 'python3')
  const bun = put('bun', 'bun')
  const notRunnable = path.join(t.root, 'not-runnable')
  fs.mkdirSync(notRunnable)
  fs.writeFileSync(path.join(notRunnable, 'ruby'), '', { mode: 0o644 })
  fs.mkdirSync(path.join(notRunnable, 'perl'))
  const system = process.env.PATH
  const shell = put('shell')
  fs.symlinkSync('/bin/sh', path.join(shell, 'sh'))

  const files = [...endings.map((ending) => `typed.${ending}`), ...Object.keys(contents).map((name) => `like ${name}`.replaceAll(' ', '-'))]
  for (const ending of endings) fs.writeFileSync(t.cwd(`typed.${ending}`), 'text\n')
  for (const [name, content] of Object.entries(contents)) fs.writeFileSync(t.cwd(`like ${name}`.replaceAll(' ', '-')), content)
  fs.writeFileSync(t.cwd('binary.js'), contents.elf)
  fs.writeFileSync(t.cwd('binary.sh.run'), contents.elf)
  files.push('binary.js', 'binary.sh.run', 'sub')
  await pm2.connect()

  // The base of every table is a script with a given interpreter, so that it starts whatever PATH is.
  const base = { script: t.cwd('alive.js'), interpreter: 'none' }
  const object = (given) => [{ name: 'app', autostart: false, ...('script' in given ? {} : base), ...given }]
  const searching = async (title, folders, cases, start = object) => {
    process.env.PATH = folders
    t.record(title, await tryCases(t, cases, start))
    process.env.PATH = system
  }
  const scripts = (list) => Object.fromEntries(list.map((file) => [file, { script: t.cwd(file) }]))
  await searching('every interpreter', every, scripts(files))
  await searching('beside a script', every, scripts(files), ({ script = t.cwd('typed.py') }) => [script, { name: 'app', autostart: false }])
  const languages = ['js', 'mjs', 'py', 'sh', 'rb', 'php', 'pl', 'ts', 'tsx', 'coffee', 'ls'].map((ending) => `typed.${ending}`)
  await searching('a shell only', shell, scripts([...languages, 'like-text', 'like-elf']))
  await searching('python3 only', [python3, shell].join(':'), scripts(languages))
  await searching('programs that cannot run', [notRunnable, shell].join(':'), scripts(languages))
  await searching('bun', [bun, shell].join(':'), scripts(languages))
  await searching('system', system, scripts(languages))
  const given = ['node', 'bun', 'bash', 'sh', 'python', 'python3', 'ruby', 'deno', 'none', 'None', 'missing', './every/bun', path.join(every, 'bun'), '/missing/bun', path.join(t.root, 'every'), 'bun run', ' bun', 'bun ', '~/bun', '$BUN', 'node --harmony', '', '.', '/', 'node@', '@16', 'bun@1', 'none@1', 'ünï', process.execPath, '../every/bun', 'every/bun']
  const chosen = Object.fromEntries(given.map((interpreter) => [interpreter, { script: t.cwd('alive.js'), interpreter }]))
  await searching('given', [every, shell].join(':'), chosen)
  await searching('given, in a cluster', [every, shell].join(':'), Object.fromEntries(Object.entries(chosen).map(([name, app]) => [name, { ...app, exec_mode: 'cluster' }])))
  await searching('given beside a script', [every, shell].join(':'), chosen, ({ script = t.cwd('alive.js'), interpreter }) => [script, { name: 'app', autostart: false, interpreter }])
  await searching('given for others', [every, shell].join(':'), {
    'python for js': { script: t.cwd('alive.js'), interpreter: 'python3' }, 'node for sh': { script: t.cwd('typed.sh'), interpreter: 'node' }, 'node for a binary': { script: t.cwd('like-elf'), interpreter: 'node' },
    'bash for ts': { script: t.cwd('typed.ts'), interpreter: 'bash' }, 'none for js': { script: t.cwd('alive.js'), interpreter: 'none' }, 'own PATH': { script: t.cwd('typed.rb'), env: { PATH: '/nowhere' } },
    'python with arguments': { script: t.cwd('typed.py'), interpreter_args: '-u -O' }, 'python and PYTHONUNBUFFERED': { script: t.cwd('typed.py'), env: { PYTHONUNBUFFERED: '0' } }
  })
}
