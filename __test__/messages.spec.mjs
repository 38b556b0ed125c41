import { readFile, rename } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { fixture, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

test('packets go to an app and come back over the bus', async (t) => {
  const { pm2 } = await makeHome(t)
  const bus = await pm2.launchBus()
  const listening = new Promise((resolve) => bus.on('app:listening', resolve))
  const answer = new Promise((resolve) => bus.on('process:msg', resolve))
  const [app] = await pm2.start(fixture('answer-message.js'), { name: 'a' })
  t.is((await listening).data.pid, app.pid)
  // The example of PM2's API document, which has no topic.
  const packet = { type: 'process:msg', data: { some: 'data', hello: true }, id: 0 }
  const sent = await pm2.sendDataToProcessId(packet)
  t.true(sent.success)
  t.like(await answer, { process: { pm_id: 0, name: 'a' }, data: { got: { data: { some: 'data', hello: true }, id: 0 } } })
  await t.throwsAsync(pm2.sendDataToProcessId(99, { topic: 'x', data: 1 }), { message: /Process with ID <?99>? unknown/ })
})

test('the bus reports logs and events', async (t) => {
  const { pm2 } = await makeHome(t)
  const bus = await new Promise((resolve, reject) => {
    pm2.launchBus((error, found, socket) => (error === null && socket.connected ? resolve(found) : reject(error)))
  })
  const events = []
  const logs = []
  bus.on('process:event', (packet) => events.push(packet.event))
  bus.on('log:*', (stream, packet) => logs.push([stream, packet.process.name, packet.data]))
  await pm2.start(fixture('report-signal.js'), { name: 'a' })
  await waitFor(() => logs.some(([stream, name, data]) => stream === 'out' && name === 'a' && data === 'ready\n'))
  const processes = await pm2.sendSignalToProcessName('SIGUSR2', 'a')
  t.is(processes[0].name, 'a')
  const out = () => logs.filter(([stream]) => stream === 'out').map(([, , data]) => data).join('')
  await waitFor(() => out() === 'ready\nSIGUSR2\n')
  await pm2.sendSignalToProcessId('SIGUSR2', 0)
  await waitFor(() => out() === 'ready\nSIGUSR2\nSIGUSR2\n')
  await pm2.stop('a')
  await waitFor(() => events.includes('stop'))
  t.deepEqual(events.slice(0, 3).sort(), ['exit', 'online', 'start'])
  await t.throwsAsync(pm2.sendSignalToProcessName('SIGUSR2', 'nope'), { message: 'Unknown process name' })
  await t.throwsAsync(pm2.sendSignalToProcessId('SIGUSR2', 99), { message: '99 id unknown' })
})

test('a bus goes on with the next daemon, whatever became of the one before', async (t) => {
  const { pm2, daemonPid } = await makeHome(t)
  const bus = await pm2.launchBus()
  const online = []
  bus.on('process:event', ({ event, process }) => event === 'online' && online.push(process.name))
  for (const [name, end] of [
    ['first', () => pm2.killDaemon()],
    ['second', async () => process.kill(await daemonPid(), 'SIGKILL')],
    ['third', () => {}]
  ]) {
    // A subscription has no answer: until it holds, apps are started. A call may still hear that the daemon is lost.
    await waitFor(async () => {
      const app = { name, script: '/bin/sleep', args: ['300'], interpreter: 'none', autorestart: false }
      if (!(await pm2.start(app).catch(({ code }) => t.is(code, 'PM2_CONNECTION_LOST') && false))) return false
      return waitFor(() => online.includes(name), 200).catch(() => false)
    })
    const closed = new Promise((resolve) => bus.sock.once('close', resolve))
    await end()
    if (name !== 'third') await closed
  }
  t.deepEqual([...new Set(online)], ['first', 'second', 'third'])
})

test('lines go to the standard input of an app', async (t) => {
  const { pm2, folder } = await makeHome(t)
  const log = () => readFile(path.join(folder, 'logs', 'echo-out.log'), 'utf8').catch(() => '')
  await pm2.start(fixture('echo-line.js'), { name: 'echo' })
  await waitFor(async () => (await log()) === 'reading\n')
  t.deepEqual(await pm2.sendLineToStdin(0, 'hello'), { pm_id: 0, line: 'hello\n' })
  await waitFor(async () => (await log()) === 'reading\ngot hello\n')
  await t.throwsAsync(pm2.sendLineToStdin(99, 'x'), { message: 'Process with ID <99> unknown.' })
})

test('flush empties logs, reloadLogs opens moved ones anew', async (t) => {
  const { pm2, folder } = await makeHome(t)
  const file = path.join(folder, 'logs', 'echo-out.log')
  const log = (from = file) => readFile(from, 'utf8').catch(() => '')
  await pm2.start(fixture('echo-line.js'), { name: 'echo' })
  await waitFor(async () => (await log()) === 'reading\n')
  t.is((await pm2.flush('nope')).length, 1)
  t.is(await log(), 'reading\n')
  await pm2.flush('echo')
  t.is(await log(), '')
  await pm2.sendLineToStdin(0, 'one')
  await waitFor(async () => (await log()) === 'got one\n')
  await rename(file, `${file}.1`)
  t.deepEqual(await pm2.reloadLogs(), {})
  // The files are opened anew some time after the answer.
  await waitFor(async () => {
    await pm2.sendLineToStdin(0, 'two')
    return (await log()).includes('got two\n')
  })
  t.true((await log(`${file}.1`)).startsWith('got one\n'))
})
