'use strict'

// `printLogs` and `streamLogs`: the last lines of logs, and those that come. How they look is decided natively.
// Behaviour of PM2 7.0.4, specifications `api.md` §5.15 and `logs.md` §8.

const { list } = require('./processes')

const DEFAULT_LINES = 20

/**
 * @param params `(id, lines, raw, timestamp, exclusive, highlight)`, or `(id, {lines, raw, …})`
 * @returns `{lines, wishes}`
 */
function read([target, second, raw, timestamp, exclusive, highlight]) {
  const given = second !== null && typeof second === 'object' ? second : { lines: second, raw, timestamp, exclusive, highlight }
  const lines = Math.abs(Math.trunc(Number(given.lines ?? DEFAULT_LINES)))
  if (!Number.isSafeInteger(lines)) throw new TypeError('the number of lines must be a number')
  const { json, format } = given
  const wishes = { ...given, target: target ?? 'all', raw: Boolean(given.raw), json: Boolean(json), format: Boolean(format) }
  return { lines: Math.min(lines, 0xffffffff), wishes }
}

function print(shown) {
  if (shown?.out) process.stdout.write(shown.out)
  if (shown?.err) process.stderr.write(shown.err)
}

function shower(wishes) {
  return require('./native').logLines(wishes)
}

/** Prints the last lines of each log. */
async function printLogs(link, daemonLog, params) {
  const { lines, wishes } = read(params)
  await printTail(shower(wishes), link, daemonLog, lines)
}

/** @returns when the files were read, epoch ms */
async function printTail(showing, link, daemonLog, lines) {
  if (lines === 0) return 0
  const processes = JSON.stringify(await list(link))
  const read = Date.now()
  print(await showing.tail(processes, daemonLog, lines))
  return read
}

/**
 * Prints the last lines, and then what comes until it is closed.
 *
 * It listens before it reads, so that nothing is missed between the two; what was written before it read is in the files.
 */
async function streamLogs(link, openBus, daemonLog, params) {
  const { lines, wishes } = read(params)
  const showing = shower(wishes)
  const bus = await openBus()
  let waiting = []
  const show = (topic, packet) => print(showing.show(topic, JSON.stringify(packet)))
  bus.on('*', (topic, packet) => {
    if (waiting) waiting.push([topic, packet])
    else show(topic, packet)
  })
  try {
    const read = await printTail(showing, link, daemonLog, lines)
    const late = waiting.filter(([, { at }]) => !(at < read))
    waiting = null
    for (const [topic, packet] of late) show(topic, packet)
  } catch (error) {
    bus.close()
    throw error
  }
  return { close: () => bus.close() }
}

module.exports = { printLogs, streamLogs }
