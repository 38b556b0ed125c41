// The process in which a scenario runs. It writes what it saw to a file after every step, so that a crash or a hang
// still leaves everything up to that point.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { endLeftovers } from './leftovers.mjs'
import { describeError, Recorder } from './recorder.mjs'
import { tools } from './tools.mjs'

const config = JSON.parse(process.argv[2])
process.argv.length = 2

// stdin ends when the runner is gone, even when it was killed: then nobody else cleans up.
process.stdin.on('end', () => {
  endLeftovers(config.root)
  fs.rmSync(config.root, { recursive: true, force: true, maxRetries: 3 })
  process.exit(1)
}).resume()

const pm2 = createRequire(import.meta.url)(config.module)
const scenario = await import(pathToFileURL(config.scenario))
const recorder = new Recorder(pm2, (recording) => fs.writeFileSync(config.recording, JSON.stringify(recording)))
process.on('uncaughtException', (error) => recorder.uncaught(error))

try {
  await scenario.run(recorder.recorded, tools(recorder, config))
} catch (error) {
  recorder.failed = error.stack ?? String(error)
}
// With no daemon there is nothing to end, and npm pm2's killDaemon never calls back.
if (fs.existsSync(`${config.home}/pm2.pid`)) {
  const { answered, error } = await recorder.quiet.with({ timeout: 6_000 }).killDaemon()
  recorder.step('killDaemon at the end', answered ? { error: describeError(error) } : 'never called back')
}
recorder.finished = true
recorder.save()
process.exit(0)
