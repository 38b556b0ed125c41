// What a scenario gets beside `pm2`: conditions with deadlines, and things worth recording that are no callback.
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'

const deadlineMs = 12_000
const pollMs = 25

export function tools(recorder, { home, cwd, root }) {
  const { quiet } = recorder
  const t = {
    home: (...parts) => path.join(home, ...parts),
    cwd: (...parts) => path.join(cwd, ...parts),
    root,
    /** The module itself, for what is no method call. */
    raw: recorder.raw,
    /** The same methods as `pm2`, leaving no step. */
    quiet,
    record: (name, value) => recorder.step(name, value),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),

    /** Polls until `condition` gives something truthy, which is returned; fails the scenario after the deadline. */
    async until(what, condition, limitMs = deadlineMs) {
      const deadline = Date.now() + limitMs
      for (;;) {
        const value = await condition()
        if (value) return value
        if (Date.now() > deadline) {
          const { result } = await quiet.with({ timeout: 1_000 }).list()
          const seen = (result ?? []).map((proc) => `${proc.name}(${proc.pm_id}) ${proc.pm2_env?.status} restarts=${proc.pm2_env?.restart_time}`)
          throw new Error(`deadline: ${what}; list: ${seen.join(', ')}`)
        }
        await t.sleep(pollMs)
      }
    },
    /** The process as `describe` shows it, or undefined. */
    async proc(target) {
      const { result } = await quiet.describe(target)
      return result?.[0]
    },
    async all() {
      return (await quiet.list()).result ?? []
    },
    status: (target, status) => t.until(`${target} is ${status}`, async () => {
      const proc = await t.proc(target)
      return proc?.pm2_env.status === status && proc
    }),
    /** Online with a living process, and restarted at least so often. */
    online: (target, restarts = 0) => t.until(`${target} is online, restarted ${restarts} times`, async () => {
      const proc = await t.proc(target)
      return proc?.pm2_env.status === 'online' && proc.pm2_env.restart_time >= restarts && t.alive(proc.pid) && proc
    }),
    /** Waits until every Node app has reported itself: `node_version` comes over IPC soon after the start. */
    settled: () => t.until('node apps have reported', async () => (await t.all()).every(reported), 5_000).catch(() => {}),
    /** Records `list` once it is settled. */
    async snapshot(name = 'list') {
      await t.settled()
      await recorder.recorded.with({ as: name }).list()
    },
    /** Records a chosen few fields of every process: for steps whose full objects say nothing new. */
    async summary(name, ...fields) {
      const all = await t.all()
      t.record(name, all.map(({ name: app, pm_id, pid, pm2_env }) => ({
        name: app, pm_id, pid, status: pm2_env.status, ...Object.fromEntries(fields.map((field) => [field, pm2_env[field]])),
      })))
    },

    alive(pid) {
      try {
        // A killed process shows as zombie while its other threads still hold its sockets open.
        return !/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')) || fs.readdirSync(`/proc/${pid}/task`).length > 1
      } catch {
        return false
      }
    },
    /** Waits until nobody listens at a socket in PM2_HOME. */
    refused: (socket) => t.until(`${socket} refuses`, () => new Promise((resolve) => {
      const connection = net.connect(path.join(home, socket))
      connection.on('connect', () => resolve(connection.destroy() && false)).on('error', () => resolve(true))
    })),
    dead: (pid) => t.until(`process ${pid} is gone`, () => !t.alive(pid)),

    read(file) {
      try {
        return fs.readFileSync(path.resolve(home, file), 'utf8')
      } catch (error) {
        if (error.code === 'ENOENT') return null
        throw error
      }
    },
    exists: (file) => fs.existsSync(path.resolve(home, file)),
    /** Waits for a text in a file (relative: in PM2_HOME). */
    contains: (file, text, times = 1) => t.until(`${file} contains ${JSON.stringify(text)} × ${times}`, () => (t.read(file) ?? '').split(text).length > times),
    /** Records a file's text, null when there is none. */
    file: (file, name = `file ${file}`) => t.record(name, t.read(file)),
    /** Records a JSON file parsed. */
    json: (file, name = `file ${file}`) => t.record(name, JSON.parse(t.read(file))),
    /** Records names, types and modes of everything below PM2_HOME, or below the working directory. */
    tree: (name = 'files', from = home) => t.record(name, listing(from)),

    /** The environment the process was executed with. */
    environ: (name, pid) => t.record(name, environment(pid)),
    environment,
  }
  return t
}

function reported({ pm2_env: env }) {
  if (env.status !== 'online') return true
  return !/(^|\/)node$/.test(env.exec_interpreter ?? '') || env.node_version !== undefined
}

function environment(pid) {
  // A start is over a moment before the kernel shows the new environment.
  const read = () => fs.readFileSync(`/proc/${pid}/environ`, 'utf8')
  let text = read()
  for (const deadline = Date.now() + 2000; text === '' && Date.now() < deadline; ) text = read()
  return Object.fromEntries(text.split('\0').filter(Boolean).map((entry) => {
    const at = entry.indexOf('=')
    return [entry.slice(0, at), entry.slice(at + 1)]
  }))
}

function listing(dir, prefix = '', seen = {}) {
  for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
    const file = path.join(dir, entry.name)
    const mode = (fs.lstatSync(file).mode & 0o777).toString(8)
    const type = entry.isDirectory() ? 'folder' : entry.isSocket() ? 'socket' : entry.isFile() ? 'file' : 'other'
    seen[`${prefix}${entry.name}`] = { type, mode }
    if (entry.isDirectory()) listing(file, `${prefix}${entry.name}/`, seen)
  }
  return seen
}
