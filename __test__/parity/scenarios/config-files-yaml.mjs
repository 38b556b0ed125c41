// YAML: types of plain words, anchors, texts of several lines, and what cannot be read.
import fs from 'node:fs'
import { startEach } from './config-files.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const write = (name, content) => fs.writeFileSync(t.cwd('config', 'yaml', name), content)
  write('mark.yml', '\uFEFFname: mark\nscript: alive.js\nautostart: false\n')
  write('crlf.yml', 'name: crlf\r\nscript: alive.js\r\nautostart: false\r\nenv:\r\n  T_TEXT: |\r\n    one\r\n    two\r\n')
  write('unicode.yml', 'name: größe-日本\nscript: alive.js\nautostart: false\nenv: { T_TEXT: naïve ☕ 𝒳 }\n')
  write('garbage.yml', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 0xff, 0xfe, 0x0a, 0x80]))
  fs.mkdirSync(t.cwd('config', 'yaml', 'folder.yml'))
  await startEach(t, [
    'yaml/apps.yml', 'yaml/list.yaml', 'yaml/object.yml', 'yaml/single.yaml', 'yaml/pm2.yml', 'yaml/anchors.yaml', 'yaml/texts.yml',
    'yaml/scalars.yml', 'yaml/keys.yml', 'yaml/flow.yml', 'yaml/json.yml', 'yaml/document.yml', 'yaml/binary-tag.yml',
    'yaml/indentation-of-lists.yml', 'yaml/mark.yml', 'yaml/crlf.yml', 'yaml/unicode.yml',
  ])
  await startEach(t, ['yaml/environments.yaml'], { env: 'production' })
  await startEach(t, [
    'yaml/duplicate-key.yml', 'yaml/bad-indentation.yml', 'yaml/tab.yml', 'yaml/unclosed.yml', 'yaml/missing-quote.yml',
    'yaml/unknown-alias.yml', 'yaml/unknown-tag.yml', 'yaml/two-documents.yml', 'yaml/two-colons.yml', 'yaml/reserved.yml',
    'yaml/empty.yml', 'yaml/comment-only.yml', 'yaml/string.yml', 'yaml/number.yml', 'yaml/strings.yml', 'yaml/null.yml',
    'yaml/garbage.yml', 'yaml/folder.yml', 'yaml/nowhere.yml', 'yaml/nowhere.yaml',
  ])
}
