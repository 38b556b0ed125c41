import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import test from 'ava'
import { fakeNative } from './helpers/fake-native.mjs'

const { appsOf, isConfigFile, loadApps } = createRequire(import.meta.url)('../lib/config.js')

test.beforeEach(async (t) => {
  t.context.folder = await mkdtemp(path.join(tmpdir(), 'pm2-rs-config-'))
  t.context.load = async (name, text, environment) => {
    await writeFile(path.join(t.context.folder, name), text)
    return loadApps(name, t.context.folder, environment)
  }
})

test.afterEach.always((t) => rm(t.context.folder, { recursive: true }))

test('a configuration file is recognised by a part of its name', (t) => {
  for (const name of ['a.json', 'a.json5', 'x/a.yml', 'a.yaml', 'ecosystem.config.js', 'a.config.cjs', 'a.config.mjs']) {
    t.true(isConfigFile(name), name)
  }
  for (const name of ['app.js', 'ecosystem.js', 'a.config.ts', 'json', '0', 'all']) t.false(isConfigFile(name), name)
})

test('JSON may be any JavaScript expression', async (t) => {
  const text = "// apps\n{apps: [{name: 'a', script: `./a.js`, /* none */ args: ['1'],},],} // end"
  t.like(await t.context.load('loose.json', text), [{ name: 'a', script: './a.js', args: ['1'] }])
  t.like(await t.context.load('strict.json', '\uFEFF{"script":"a.js"}'), [{ script: 'a.js' }])
})

test('an expression in JSON sees nothing of this process and ends after a second', async (t) => {
  await t.throwsAsync(t.context.load('curious.json', '{script: process.env.HOME}'), { message: /process is not defined/ })
  await t.throwsAsync(t.context.load('endless.json', '(() => { while (true); })()'), { message: /timed out/ })
  const error = await t.throwsAsync(t.context.load('empty.json', ''), { any: true })
  t.is(error.name, 'SyntaxError')
})

test('JavaScript files are evaluated anew each time', async (t) => {
  for (const [name, text] of [
    ['a.config.js', 'module.exports = {apps: [{name: "NAME"}]}'],
    ['b.config.cjs', 'module.exports = [{name: "NAME"}]'],
    ['c.config.mjs', 'export const apps = [{name: "NAME"}]'],
    ['d.config.mjs', 'export default {apps: {name: "NAME"}}']
  ]) {
    t.deepEqual(await t.context.load(name, text.replace('NAME', 'first')), [{ name: 'first' }], name)
    t.deepEqual(await t.context.load(name, text.replace('NAME', 'second')), [{ name: 'second' }], name)
  }
})

test('a .config.js inside an ES module package is imported', async (t) => {
  await writeFile(path.join(t.context.folder, 'package.json'), '{"type":"module"}')
  t.deepEqual(await t.context.load('a.config.js', 'export default [{name: "a"}]'), [{ name: 'a' }])
})

test('a missing file is a file system error', async (t) => {
  for (const name of ['no.json', 'no.config.js', 'no.config.mjs', 'no.yml']) {
    await t.throwsAsync(loadApps(name, t.context.folder), { code: 'ENOENT' }, name)
  }
})

test('YAML is refused with a way out', async (t) => {
  await t.throwsAsync(t.context.load('a.yml', 'apps: []'), { message: /YAML .* not supported yet/ })
})

test('all shapes of a description give a list of apps', (t) => {
  const app = { script: 'a.js' }
  for (const shape of [app, [app], { apps: app }, { apps: [app] }, { pm2: app }, { pm2: [app] }, { pm2: { apps: [app] } }]) {
    t.deepEqual(appsOf(shape), [app])
  }
  t.deepEqual(appsOf({ apps: [] }), [])
  for (const wrong of [null, undefined, 3, [null], ['a.js'], { apps: [[]] }]) {
    t.throws(() => appsOf(wrong), { instanceOf: TypeError })
  }
})

test('the deployment environment lies below the environment of the app', (t) => {
  const whole = { apps: [{ name: 'a', env_prod: { A: 'app' } }], deploy: { prod: { env: { A: 'deploy', B: 'deploy' } } } }
  t.deepEqual(appsOf(whole, 'prod'), [{ name: 'a', env_prod: { A: 'app', B: 'deploy' } }])
  t.deepEqual(whole.apps[0], { name: 'a', env_prod: { A: 'app' } }, 'the given object is not changed')
})

test('whatever a configuration file throws reaches the caller as an Error', async (t) => {
  const { API } = createRequire(import.meta.url)('../lib/api.js')
  const pm2 = new API({ pm2_home: '/nowhere', cwd: t.context.folder }, fakeNative().native)
  for (const [thrown, message] of [
    ['"text"', 'text'],
    ['undefined', 'Unidentified error'],
    ['null', 'Unidentified error'],
    ['42', '42'],
    ['Object.create(null)', 'Unidentified error'],
    ['{ message: "mine" }', 'mine'],
    ['new RangeError("mine")', 'mine']
  ]) {
    await writeFile(path.join(t.context.folder, 'throws.config.js'), `throw ${thrown}`)
    await writeFile(path.join(t.context.folder, 'throws.config.mjs'), `throw ${thrown}`)
    await writeFile(path.join(t.context.folder, 'throws.json'), `(() => { throw ${thrown} })()`)
    for (const name of ['throws.config.js', 'throws.config.mjs', 'throws.json']) {
      const error = await new Promise((resolve) => pm2.start(name, resolve))
      t.true(error instanceof Error, `${name} ${thrown}`)
      t.is(error.message, message, `${name} ${thrown}`)
      await t.throwsAsync(pm2.start(name), { message })
    }
  }
})
