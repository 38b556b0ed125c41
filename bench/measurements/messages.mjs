// Messages of an app on their way to a client on the bus, and there and back again. What Node itself needs to send a
// message in the app is part of it: `bare` is how fast it can be, to somebody who only counts lines. The other app costs
// nothing, as it has its messages in a file.

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { call, connected, timed } from '../lib/api.mjs'
import { median } from '../lib/statistics.mjs'

const script = fileURLToPath(new URL('../fixtures/talk.js', import.meta.url))
const COUNT = 100_000
const ROUND_TRIPS = 300

export const rows = [
  { key: 'trip', label: 'message to an app and back over the bus', unit: 'ms', target: { ratio: 3 } },
  { key: 'rate', label: '100 000 messages of a Node app to the bus', unit: '1/s', bare: 'bare', target: { times: 4, informational: true } },
  { key: 'native', label: 'the same, the app costs nothing', unit: '1/s', target: { times: 4 } },
]

export async function measure({ load, home }) {
  const pm2 = await connected(load)
  const bus = await call(pm2, 'launchBus')
  const listening = new Promise((resolve) => bus.on('log:out', resolve))
  await call(pm2, 'start', { name: 'talk', script })
  await listening
  const send = (data) => call(pm2, 'sendDataToProcessId', 0, { topic: 'x', data })

  let onAnswer
  bus.on('answer', (packet) => onAnswer(packet))
  const trips = []
  for (let trip = -20; trip < ROUND_TRIPS; trip += 1) {
    const time = await timed(async () => {
      const answer = new Promise((resolve) => (onAnswer = resolve))
      await Promise.all([send({ trip }), answer])
    })
    if (trip >= 0) trips.push(time)
  }

  const rate = await heard(bus, () => send({ count: COUNT }))
  const file = path.join(home, 'messages')
  const lines = Array.from({ length: COUNT }, (_, n) => JSON.stringify({ type: 'word', data: { n: n + 1, text: 'as long as most' } }))
  writeFileSync(file, `${lines.join('\n')}\n`)
  const native = await heard(bus, () => {
    return call(pm2, 'start', { name: 'cat', script: '/bin/sh', args: ['-c', `cat ${file} >&3; sleep 1000`], interpreter: 'none' })
  })
  bus.close()
  return { trip: median(trips), rate, native, bare: await bareRate() }
}

/** Messages per second of the same app, whose channel is read and not looked at. */
async function bareRate() {
  const app = spawn(process.execPath, [script], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    env: { ...process.env, NODE_CHANNEL_FD: '3' },
  })
  const channel = app.stdio[3]
  channel.write(`${JSON.stringify({ data: { count: COUNT } })}\n`)
  let count = 0
  let first
  for await (const chunk of channel) {
    first ??= performance.now()
    for (const byte of chunk) if (byte === 10) count += 1
    if (count === COUNT) break
  }
  const last = performance.now()
  app.kill('SIGKILL')
  return ((COUNT - 1) / (last - first)) * 1000
}

/** Messages per second, from the first to the last; all of them, in their order. */
async function heard(bus, begin) {
  let count = 0
  let first
  const all = new Promise((resolve, reject) => {
    bus.on('word', ({ data: { n } }) => {
      first ??= performance.now()
      count += 1
      if (n !== count) reject(new Error(`message ${n} came as number ${count}`))
      if (count === COUNT) resolve(performance.now())
    })
  })
  await begin()
  const last = await all
  bus.off('word')
  return ((COUNT - 1) / (last - first)) * 1000
}
