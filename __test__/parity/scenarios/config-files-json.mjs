// What is allowed in a `.json` file beyond JSON, and what is not.
import fs from 'node:fs'
import { startEach } from './config-files.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const write = (name, content) => fs.writeFileSync(t.cwd('config', 'json', name), content)
  const app = '{ "name": "generated", "script": "alive.js", "autostart": false }'
  write('mark.json', `\uFEFF${app}`)
  write('crlf.json', '{\r\n  // a comment\r\n  "name": "crlf",\r\n  "script": "alive.js",\r\n  "autostart": false\r\n}\r\n')
  write('latin.json', Buffer.from('{ "name": "gr\u00f6\u00dfe", "script": "alive.js", "autostart": false }', 'latin1'))
  write('garbage.json', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 0xff, 0xfe, 0x0a, 0x80]))
  write('long-line.json', `{ "name": "${'x'.repeat(3000)}" "script": "alive.js" }`)
  fs.mkdirSync(t.cwd('config', 'json', 'folder.json'))
  await startEach(t, [
    'json/comments.json', 'json/last-comment.json', 'json/expressions.json', 'json/loose.json5', 'json/nested-env.json', 'json/unicode.json',
    'json/tabs.json', 'json/copy.json.bak', 'json/prototype.json', 'json/mark.json', 'json/crlf.json', 'json/latin.json',
    'json/empty.json', 'json/blank.json', 'json/comment-only.json', 'json/unclosed.json', 'json/missing-comma.json', 'json/missing-quote.json',
    'json/text-after.json', 'json/word.json', 'json/hole.json', 'json/throws.json', 'json/yaml-inside.json', 'json/garbage.json',
    'json/long-line.json', 'json/folder.json', 'json/nowhere.json',
  ])
}
