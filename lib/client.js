'use strict'

// `pm2.Client`: the remote methods one by one, for tools that bypass the API.
// Behaviour of PM2 7.0.4, specification `api.md` §7.

const { bindMethods, settle, split, withNothing } = require('./calls')
const { paths } = require('./home')
const { byNameOrScript, list } = require('./processes')

/** Remote methods that never answer; the daemon acts on them all the same. */
const UNANSWERED = new Set(['killMe', 'notifyKillPM2'])

class Client {
  #session

  constructor(session, home) {
    this.#session = session
    this.pm2_home = home
    this.rpc_socket_file = paths(home).rpc
    this.pub_socket_file = paths(home).pub
    bindMethods(this, Client.prototype)
  }

  /** Connects; answers what `pm2.connect` answers. */
  start(...args) {
    const { callback } = split(args)
    return settle(this.#session.open(), callback)
  }

  close(...args) {
    const { callback } = split(args)
    return settle(this.#session.close(), callback)
  }

  /** One remote method. Watching is switched off first for everything that stops a process. */
  executeRemote(...args) {
    const { params, callback } = split(args)
    const work = (link) => executeRemote(link, ...params)
    return settle(this.#session.use(work), callback)
  }

  /** `cb(alive)`: the boolean is the first argument. Launches nothing. */
  pingDaemon(...args) {
    const { callback } = split(args)
    return settle(this.#session.isAlive(), callback, (call, alive) => call(alive))
  }

  /** Ends the daemon and its processes. */
  killDaemon(...args) {
    const { callback } = split(args)
    const kill = async () => {
      if (await this.#session.isAlive()) await this.#session.run('kill', {})
      this.#session.drop()
      return { success: true }
    }
    return settle(kill(), callback)
  }

  launchBus(...args) {
    const { callback } = split(args)
    return settle(this.#session.openBus(), callback, (call, bus) => call(null, bus, bus.sock))
  }

  disconnectBus(...args) {
    const { callback } = split(args)
    const close = async () => this.#session.closeBus()
    return settle(close(), callback, withNothing)
  }

  /** Publishes a `process:event` of that name for the process. */
  notifyGod(...args) {
    const { params, callback } = split(args)
    const [action, id] = params
    const notify = this.#session.call('notifyByProcessId', { id, action_name: action, manually: true })
    return settle(notify, callback, withNothing)
  }

  getAllProcess(...args) {
    const { callback } = split(args)
    return settle(this.#session.use(list), callback)
  }

  getAllProcessId(...args) {
    return this.#ids(args, () => true)
  }

  getAllProcessIdWithoutModules(...args) {
    return this.#ids(args, ({ pm2_env: env }) => !env.pmx_module)
  }

  #ids(args, wanted) {
    const { callback } = split(args)
    const ids = this.#session.use(list).then((processes) => processes.filter(wanted).map(({ pm_id: id }) => id))
    return settle(ids, callback)
  }

  /** `cb(null, ids, {id: process})`; also matches the path of the script. */
  getProcessIdByName(...args) {
    return this.#found(args, (processes, name) => byNameOrScript(processes, name))
  }

  /** `cb(null, ids, {id: process})`. */
  getProcessIdsByNamespace(...args) {
    return this.#found(args, (processes, space) => processes.filter(({ pm2_env: env }) => env.namespace === space))
  }

  #found(args, choose) {
    const { params, callback } = split(args)
    const search = async () => choose(await this.#session.use(list), String(params[0]))
    const ids = (processes) => processes.map(({ pm_id: id }) => id)
    if (callback === undefined) return settle(search().then(ids), undefined)
    return settle(search(), callback, (call, processes) => {
      call(null, ids(processes), Object.fromEntries(processes.map((entry) => [entry.pm_id, entry])))
    })
  }

  getProcessByName(...args) {
    const { params, callback } = split(args)
    const search = async () => byNameOrScript(await this.#session.use(list), String(params[0]))
    return settle(search(), callback)
  }

  /** Matches name, script, `pm_id` and the operating system's pid. */
  getProcessByNameOrId(...args) {
    const { params, callback } = split(args)
    const search = async () => {
      const text = String(params[0])
      const processes = await this.#session.use(list)
      const named = new Set(byNameOrScript(processes, text))
      return processes.filter(
        (entry) => named.has(entry) || String(entry.pm_id) === text || String(entry.pid) === text
      )
    }
    return settle(search(), callback)
  }

  startWatch(...args) {
    return this.#watch('startWatch', args)
  }

  stopWatch(...args) {
    return this.#watch('stopWatch', args)
  }

  toggleWatch(...args) {
    return this.#watch('toggleWatch', args)
  }

  #watch(remote, args) {
    const { params, callback } = split(args)
    return settle(this.#session.call(remote, params[0], params[1]), callback, withNothing)
  }
}

async function executeRemote(link, method, argument = {}) {
  if (typeof method !== 'string') throw new TypeError('the name of the remote method must be a string')
  if (UNANSWERED.has(method)) {
    await link.open()
    link.call(method, argument).catch(() => {})
    return undefined
  }
  if (/stop|delete|kill/.test(method)) {
    const id = argument !== null && typeof argument === 'object' ? argument.id : argument
    if (id !== undefined) await link.call('stopWatch', method, id)
  }
  return link.call(method, argument)
}

module.exports = { Client }
