// restart, stop and delete by file; paths; a file that changes between two starts.
import fs from 'node:fs'
import { answer } from './config-files.mjs'

export async function run(pm2, t) {
  await pm2.connect()
  const { custom } = t.raw
  const step = async (name, call) => {
    t.record(name, answer(await call))
    await t.summary(`after ${name}`, 'T_A')
  }
  const write = (text, ...name) => fs.writeFileSync(t.cwd(...name), `module.exports = [${text}]`)
  write("{ name: 'one', script: 'alive.js', env: { T_A: 'first' } }", 'live.config.js')
  await step('start', t.quiet.start('live.config.js'))
  write("{ name: 'one', script: 'alive.js', env: { T_A: 'second' } }, { name: 'two', script: 'other.js' }", 'live.config.js')
  await step('restart with one more', t.quiet.restart('live.config.js'))
  await t.settled()
  await step('restart only', t.quiet.restart('./live.config.js', { only: 'two' }))
  await step('start absolute', t.quiet.start(t.cwd('live.config.js')))
  await step('reload', t.quiet.reload('live.config.js'))
  await step('stop', t.quiet.stop('live.config.js'))
  await step('stop again', t.quiet.stop(t.cwd('live.config.js')))
  write("{ name: 'nobody', script: 'alive.js' }", 'live.config.js')
  await step('stop unknown', t.quiet.stop('live.config.js'))
  await step('delete unknown', t.quiet.delete('live.config.js'))
  await step('delete by json', t.quiet.delete('config/verbs.json'))
  await step('delete again', t.quiet.delete('config/verbs.json'))
  await step('restart nothing', t.quiet.restart('config/json/empty-list.json'))
  await step('stop empty', t.quiet.stop('config/json/empty-list.json'))
  fs.mkdirSync(t.cwd('config', 'json', 'folder.json'))
  for (const file of ['js/syntax.config.js', 'json/unclosed.json', 'js/nowhere.config.js', 'js/null.config.js', 'json/folder.json']) {
    for (const verb of ['restart', 'stop', 'delete']) {
      t.record(`${verb} ${file}`, answer(await t.quiet.with({ timeout: 3_000 })[verb](`config/${file}`)))
    }
  }
  const elsewhere = new custom({ cwd: t.cwd('config') })
  const inFolder = (file) => new Promise((resolve) => {
    elsewhere.start(file, (error, result) => resolve({ error, result }))
  })
  await step('start below the folder of an instance', inFolder('verbs.json'))
}
