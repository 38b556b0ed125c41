// CommonJS files: what they may do and export, and how they fail.
import fs from 'node:fs'
import { startEach } from './config-files.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  process.env.T_REMOVED_BY_FILE = 'still here'
  fs.mkdirSync(t.cwd('config', 'js', 'folder.config.js'))
  fs.writeFileSync(t.cwd('config', 'js', 'mark.config.js'), "\uFEFFmodule.exports = { name: 'mark', script: 'alive.js', autostart: false }")
  await startEach(t, [
    'js/apps.config.js', 'js/array.config.js', 'js/object.config.cjs', 'js/named.config.cjs', 'js/siblings.config.js', 'js/surroundings.config.js',
    'js/environment.config.js', 'js/computed.config.js', 'js/values.config.js', 'js/function-inside.config.js', 'js/strict.config.js',
    'js/copy.config.js.bak', 'js/machine.config.js', 'js/changing.config.js', 'js/changing.config.js', 'js/mark.config.js', 'commonjs/apps.config.js',
    'commonjs/esm.config.js', 'js/function.config.js', 'js/async.config.js', 'js/promise.config.js', 'js/null.config.js', 'js/number.config.js',
    'js/string.config.js', 'js/undefined.config.js', 'js/strings.config.js', 'js/empty.config.js', 'js/syntax.config.js',
    'js/unclosed.config.cjs', 'js/broken-sibling.config.js', 'js/missing-sibling.config.js', 'js/throws.config.js',
    'js/coded.config.js', 'js/throws-text.config.js', 'js/reference.config.js', 'js/parses.config.js', 'js/folder.config.js',
    'js/nowhere.config.js', 'js/nowhere.config.cjs',
  ])
  await startEach(t, ['js/apps.config.js'], { env: 'production' })
}
