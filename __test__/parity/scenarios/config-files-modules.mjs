// ES modules, and packages that make a `.config.js` one.
import { startEach } from './config-files.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  process.env.T_REMOVED_BY_FILE = 'still here'
  await startEach(t, [
    'module/named.config.js', 'module/default.config.js', 'module/commonjs.config.js', 'module/cjs.config.cjs', 'module/named.config.mjs',
    'module/default.config.mjs', 'module/both.config.mjs', 'module/siblings.config.mjs', 'module/waits.config.mjs', 'module/environment.config.mjs',
    'module/pm2.config.mjs', 'module/fields.config.mjs', 'module/empty.config.mjs', 'module/syntax.config.mjs', 'module/missing-export.config.mjs',
    'module/missing-sibling.config.mjs', 'module/throws.config.mjs', 'module/nowhere.config.mjs',
  ])
}
