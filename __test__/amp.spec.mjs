import { createRequire } from 'node:module'
import test from 'ava'
import { event, frame } from './helpers/frames.mjs'

const { Decoder, value } = createRequire(import.meta.url)('../lib/amp.js')

function decode(chunks, limit) {
  const messages = []
  const decoder = new Decoder((args) => messages.push(args.map(value)), limit)
  for (const chunk of chunks) decoder.feed(chunk)
  return messages
}

test('messages are found in any segmentation', (t) => {
  const bytes = Buffer.concat([event('log:out', { data: 'é' }), frame('s:'), frame('j:1', 's:x', Buffer.from([1, 2])), event('a', 1)])
  const expected = [['log:out', { data: 'é' }], [''], [1, 'x', Buffer.from([1, 2])], ['a', 1]]
  t.deepEqual(decode([bytes]), expected)
  for (const size of [1, 2, 3, 7, 11]) {
    const chunks = []
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
    t.deepEqual(decode(chunks), expected, `pieces of ${size}`)
  }
})

test('a large message in small pieces does not take quadratic time', (t) => {
  const bytes = event('log:out', { data: 'x'.repeat(16 * 1024 * 1024) })
  const chunks = []
  for (let at = 0; at < bytes.length; at += 4096) chunks.push(bytes.subarray(at, at + 4096))
  const start = performance.now()
  t.is(decode(chunks)[0][1].data.length, 16 * 1024 * 1024)
  t.true(performance.now() - start < 2000)
})

test('broken framing is an error', (t) => {
  t.throws(() => decode([Buffer.from([0x10])]), { message: /without arguments/ })
  t.throws(() => decode([Buffer.from([0x11, 0xff, 0xff, 0xff, 0xff])]), { message: /longer than/ })
  t.throws(() => decode([frame('s:12345678')], 10), { message: /longer than/ })
})
