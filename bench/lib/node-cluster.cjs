// Node's own cluster module behind the few calls of PM2's API that a measurement makes: the yardstick of cluster mode.
// Its daemon is the primary, one for each app.

const { fork } = require('node:child_process')
const { once } = require('node:events')
const { writeFileSync, mkdirSync } = require('node:fs')
const path = require('node:path')

const primaryScript = require.resolve('../fixtures/node-primary.cjs')
const apps = new Map()

exports.connect = (callback) => callback(null)

exports.start = callbacked(async ({ name, script, instances, env }) => {
  const primary = fork(primaryScript, [JSON.stringify({ script, instances })], {
    // In a session of its own, as daemons are: Linux shares the processors out by session where it can.
    detached: true,
    env: { ...process.env, ...env },
  })
  const pids = await Promise.race([
    once(primary, 'message').then(([pids]) => pids),
    once(primary, 'exit').then(([code, signal]) => {
      throw new Error(`the primary has ended: ${signal ?? code}`)
    }),
  ])
  apps.set(name, { primary, pids })
  mkdirSync(process.env.PM2_HOME, { recursive: true })
  writeFileSync(path.join(process.env.PM2_HOME, 'pm2.pid'), String(primary.pid))
})

exports.list = callbacked(async () =>
  [...apps].flatMap(([name, { pids }]) => pids.map((pid) => ({ name, pid, pm2_env: { status: 'online' } }))),
)

exports.delete = callbacked(async (name) => {
  const { primary } = apps.get(name)
  apps.delete(name)
  primary.disconnect()
  await once(primary, 'exit')
})

/** A function that takes a callback as its last argument. */
function callbacked(work) {
  return (...args) => {
    const callback = args.pop()
    work(...args).then((value) => callback(null, value), callback)
  }
}
