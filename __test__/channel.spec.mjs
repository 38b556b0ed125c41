// Messages to apps and from apps: whole, in order, bounded, and answered only when they are written.

import { readFile } from 'node:fs/promises'
import test from 'ava'
import { fixture, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

const modes = { fork: {}, cluster: { execMode: 'cluster' } }

/** Starts an app that says when it listens; `next` gives the next packet of a topic. */
async function listening(t, script, options) {
  const home = await makeHome(t)
  const bus = await home.pm2.launchBus()
  const next = (topic) => new Promise((resolve) => bus.on(topic, resolve)).finally(() => bus.off(topic))
  const ready = next('listening')
  await home.pm2.start(fixture(script), { name: 'app', ...options })
  await ready
  return { ...home, bus, next, send: (data) => home.pm2.sendDataToProcessId({ id: 0, data }) }
}

for (const [mode, options] of Object.entries(modes)) {
  test(`the example of PM2's API document works in ${mode} mode as it is written`, async (t) => {
    const { script } = await makeHome(t)
    const call = await readFile(fixture('document-call.txt'), 'utf8')
    const { code, stdout, stderr } = await script(`
      const assert = require('node:assert')
      Object.defineProperty(Object.prototype, 'should', {
        get() { return { eql: (other) => assert.deepStrictEqual(this.valueOf(), other) } }
      })
      let pm2_bus
      const launchBus = pm2.launchBus
      pm2.launchBus = (callback) => launchBus((error, bus, socket) => { pm2_bus = bus; callback(error, bus, socket) })
      const done = () => pm2.killDaemon(() => { console.log('done'); process.exit() })
      pm2.start(${JSON.stringify(fixture('document-app.js'))}, ${JSON.stringify(options)}, (error, [proc1]) => {
        if (error) throw error
        ${call}
      })
    `)
    t.deepEqual([code, stdout, stderr], [0, 'done\n', ''])
  })

  test(`large messages and many small ones arrive whole and in order in ${mode} mode`, async (t) => {
    const { bus, next, send } = await listening(t, 'measure-messages.js', options)
    const echo = 'ä'.repeat(5 * 1024 * 1024)
    const [{ data }] = await Promise.all([next('echo'), send({ echo })])
    t.true(data.echo === echo)

    const many = process.env.PM2_RS_FULL ? 100_000 : 5000
    for (let n = 0; n < many; n += 100) await Promise.all(Array.from({ length: 100 }, () => send({})))
    const [told] = await Promise.all([next('told'), send({ tell: true })])
    t.is(told.data.count, 1 + many)

    let count = 0
    let disorder = 0
    const all = new Promise((resolve) => {
      bus.on('word', ({ data: { n } }) => {
        count += 1
        if (n !== count) disorder += 1
        if (count === 100_000) resolve()
      })
      bus.on('pm2:overflow', resolve)
    })
    await Promise.all([send({ say: 100_000 }), all])
    t.deepEqual([count, disorder], [100_000, 0])
  })

  test(`an app that does not read has a bounded queue, and nobody else is held up, in ${mode} mode`, async (t) => {
    const { pm2, daemonPid } = await makeHome(t)
    const bus = await pm2.launchBus()
    const ready = new Promise((resolve) => bus.on('listening', ({ process }) => process.name === 'other' && resolve()))
    const [[deaf], [other]] = [
      await pm2.start(fixture('measure-messages.js'), { name: 'deaf', ...options }),
      await pm2.start(fixture('measure-messages.js'), { name: 'other', ...options })
    ]
    await ready
    process.kill(deaf.pid, 'SIGSTOP')
    t.teardown(() => process.kill(deaf.pid, 'SIGCONT'))
    const text = 'x'.repeat(1024 * 1024)
    // Only later is it clear that it does not read at all.
    const first = pm2.sendDataToProcessId(deaf.pm_id, { data: text }).catch(({ message }) => message)
    await new Promise((resolve) => setTimeout(resolve, 600))
    const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => pm2.sendDataToProcessId(deaf.pm_id, { data: text })))
    const reasons = outcomes.map(({ reason }) => reason?.message)
    const [waiting, refused] = [/has not read it yet/, /too many are waiting/].map((words) => reasons.filter((text) => words.test(text)).length)
    t.true(waiting >= 10 && waiting <= 20, `${waiting} wait`)
    t.is(waiting + refused, outcomes.length)
    t.regex(await first, /has not read it yet/)
    const told = new Promise((resolve) => bus.on('told', resolve))
    await pm2.sendDataToProcessId(other.pm_id, { data: {} })
    await pm2.sendDataToProcessId(other.pm_id, { data: { tell: true } })
    t.is((await told).data.count, 1)
    const memory = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${await daemonPid()}/status`, 'utf8'))[1]) / 1024
    if (process.platform === 'linux') t.true((await memory()) < 100)

    // What was not refused is there when the app reads again.
    process.kill(deaf.pid, 'SIGCONT')
    const caughtUp = new Promise((resolve) => bus.on('told', ({ process, data }) => process.name === 'deaf' && resolve(data)))
    await pm2.sendDataToProcessId(deaf.pm_id, { data: { tell: true } })
    t.is((await caughtUp).count, 1 + waiting)
  })
}

test('a program in any language has the channel on descriptor 3', async (t) => {
  const { next, send } = await listening(t, 'speak-on-3.sh', { interpreter: 'sh' })
  const [{ data, process: app }] = await Promise.all([next('process:msg'), send({ hello: 'ä' })])
  t.deepEqual([data, app.name], [{ id: 0, data: { hello: 'ä' }, topic: 'process:msg' }, 'app'])
})

test('messages to nobody are errors', async (t) => {
  const { pm2, send } = await listening(t, 'measure-messages.js', {})
  const message = async (...args) => (await t.throwsAsync(pm2.sendDataToProcessId(...args))).message
  t.is(await message(99, { data: 1 }), 'Process with ID <99> unknown.')
  t.is(await message({ data: 1 }), 'ID, DATA or TOPIC field is missing')
  t.is(await message(0, { topic: 'x' }), 'ID, DATA or TOPIC field is missing')
  await pm2.stop('app')
  t.is(await message(0, { data: 1 }), 'Process with ID <0> offline.')
  await pm2.start({ name: 'closed', script: fixture('idle.js'), node_args: ['-r', fixture('close-channel.js')] })
  await waitFor(async () => /has closed its IPC channel/.test(await pm2.sendDataToProcessId(1, { data: 1 }).then(() => '', ({ message }) => message)))
  await t.throwsAsync(send({}))
})
