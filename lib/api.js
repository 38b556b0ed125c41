'use strict'

// The public API: PM2's names, argument forms and callback shapes over one session.
// Behaviour of PM2 7.0.4, specification `api.md`. What each method answers is described in
// `index.d.ts`.

const path = require('node:path')
const { bindMethods, settle, split, withErrorOfTwo, withNothing, withValue } = require('./calls')

// Loaded when first needed: `require` of this module is part of every script's start.
const later = {
  get Client() {
    return require('./client').Client
  },
  get Session() {
    return require('./session').Session
  },
  get logs() {
    return require('./logs')
  },
  get processes() {
    return require('./processes')
  },
  get requests() {
    return require('./requests')
  },
  get startup() {
    return require('./startup').startup
  }
}

class API {
  #native
  /** The home as absolute path, whatever the script changes its working directory to. */
  #folder
  #connected = null
  #client = null

  /** @param native what connects; only tests give another one */
  constructor(options = {}, native = undefined) {
    if (options.independent && options.pm2_home) {
      throw new Error('You cannot set a pm2_home and independent instance in same time')
    }
    const home = options.independent ? temporaryFolder() : options.pm2_home
    this.cwd = options.cwd ? path.resolve(options.cwd) : process.cwd()
    this.daemon_mode = options.daemon_mode ?? !options.independent
    this.pm2_home = homeFolder(home)
    this.#folder = path.resolve(this.pm2_home)
    this.#native = native
    bindMethods(this, API.prototype)
  }

  get Client() {
    this.#client ??= new later.Client(this.#session, this.#folder)
    return this.#client
  }

  get #session() {
    const target = { home: this.#folder, shownHome: this.pm2_home, cwd: this.cwd }
    this.#connected ??= new later.Session(this.#native, target)
    return this.#connected
  }

  /** Answers a call that needs the daemon: `work(link, ...params)`. */
  #answer(args, work, deliver, refuse) {
    const { params, callback } = split(args)
    return settle(
      this.#session.use((link) => work(link, ...params)),
      callback,
      deliver,
      refuse
    )
  }

  // ---- connection

  connect(...args) {
    const { params, callback } = split(args)
    return settle(this.#connect(params[0]), callback)
  }

  async #connect(given) {
    const noDaemon = given !== null && typeof given === 'object' ? given.daemon_mode === false : given === true
    return this.#session.open(noDaemon || this.daemon_mode === false)
  }

  disconnect(...args) {
    const { callback } = split(args)
    const closing = this.#session.close()
    // A promise is about the state that is reached; only PM2's callback hears that nothing was open.
    return settle(callback === undefined ? closing.catch(() => {}) : closing, callback, withValue, withErrorOfTwo)
  }

  close(...args) {
    return this.disconnect(...args)
  }

  launchBus(...args) {
    const { callback } = split(args)
    return settle(this.#session.openBus(), callback, (call, bus) => call(null, bus, bus.sock))
  }

  killDaemon(...args) {
    const { callback } = split(args)
    return settle(this.#killDaemon(), callback)
  }

  kill(...args) {
    return this.killDaemon(...args)
  }

  async #killDaemon() {
    if (await this.#session.isAlive()) await this.#session.run('kill', {})
    this.#session.drop()
    return { success: true }
  }

  destroy(...args) {
    const { callback } = split(args)
    return settle(this.#destroy(), callback, (call) => call(0, '', ''))
  }

  async #destroy() {
    await this.#killDaemon()
    const folder = this.#folder
    if (folder.includes('.pm2')) throw new Error('Destroy is not a allowed method on .pm2')
    const { access, rm } = require('node:fs/promises')
    // Never remove what is not visibly a home.
    await access(path.join(folder, 'pids'))
    await rm(folder, { recursive: true, force: true })
  }

  // ---- processes

  start(...args) {
    const work = async (link, what, options) => {
      return many(link, 'start', await later.requests.startRequest(this.cwd, what, options))
    }
    return this.#answer(args, work, withValue, withErrorOfTwo)
  }

  restart(...args) {
    return this.#again('restart', args)
  }

  reload(...args) {
    return this.#again('reload', args)
  }

  gracefulReload(...args) {
    return this.#again('gracefulReload', args)
  }

  #again(verb, args) {
    const work = async (link, target, options) => {
      return many(link, verb, await later.requests.againRequest(this.cwd, target, options))
    }
    return this.#answer(args, work)
  }

  stop(...args) {
    const work = async (link, target) => many(link, 'stop', await later.requests.endRequest(target))
    return this.#answer(args, work, withValue, withErrorOfTwo)
  }

  delete(...args) {
    const work = async (link, given, via) => {
      const target = via === 'pipe' ? JSON.parse(given) : given
      return many(link, 'delete', await later.requests.endRequest(target))
    }
    return this.#answer(args, work, withValue, withErrorOfTwo)
  }

  list(...args) {
    return this.#answer(args, (link) => later.processes.list(link))
  }

  describe(...args) {
    return this.#answer(args, async (link, given) => {
      return (await link.run('describe', { target: checkOne(given) })).result
    })
  }

  scale(...args) {
    return this.#answer(args, (link, name, count) => later.processes.scale(link, name, count))
  }

  reset(...args) {
    return this.#answer(args, (link, target) => later.processes.reset(link, checkOne(target)))
  }

  // ---- the list on disk

  dump(...args) {
    return this.#answer(args, async (link, force) => {
      return (await link.run('dump', { force: Boolean(force) || Boolean(process.env.FORCE) })).result
    })
  }

  autodump(...args) {
    const { callback } = split(args)
    return settle(Promise.resolve(), callback, withNothing)
  }

  clearDump(...args) {
    const work = async (link) => {
      await link.run('clearDump', {})
    }
    return this.#answer(args, work, withNothing)
  }

  resurrect(...args) {
    return this.#answer(args, (link) => many(link, 'resurrect', { context: later.requests.context(this.cwd) }))
  }

  // ---- with the machine

  startup(...args) {
    return this.#withMachine(false, args)
  }

  uninstallStartup(...args) {
    return this.#withMachine(true, args)
  }

  #withMachine(remove, args) {
    const { params, callback } = split(args)
    return settle(later.startup(this.#native, this.#folder, remove, ...params), callback)
  }

  // ---- logs

  flush(...args) {
    return this.#answer(args, (link, target) => {
      if (target !== undefined && target !== null) checkOne(target)
      return later.processes.flush(link, target, this.#daemonLog)
    })
  }

  reloadLogs(...args) {
    return this.#answer(args, (link, options) => link.call('reloadLogs', options?.rotate === true ? { rotate: true } : {}))
  }

  printLogs(...args) {
    return this.#answer(args, (link, ...params) => later.logs.printLogs(link, this.#daemonLog, params))
  }

  streamLogs(...args) {
    const openBus = () => this.#session.openBus()
    return this.#answer(args, (link, ...params) => later.logs.streamLogs(link, openBus, this.#daemonLog, params))
  }

  get #daemonLog() {
    return require('./home').paths(this.#folder).log
  }

  // ---- talking to apps

  sendDataToProcessId(...args) {
    return this.#answer(args, (link, first, second) => {
      const given = first !== null && typeof first === 'object' ? first : second
      checkObject(given, 'packet')
      const packet = given === first ? { ...given } : { ...given, id: first }
      if (packet.id === undefined || packet.data === undefined) throw new Error('ID, DATA or TOPIC field is missing')
      // PM2's daemon insists on a topic, its published example has none.
      packet.topic ||= packet.type || 'process:msg'
      return link.call('sendDataToProcessId', packet)
    })
  }

  trigger(...args) {
    return this.#answer(args, (link, target, action, params) => {
      return require('./actions').trigger(link, checkOne(target), action, params)
    })
  }

  msgProcess(...args) {
    return this.#answer(args, (link, command) => link.call('msgProcess', checkObject(command, 'command')))
  }

  sendLineToStdin(...args) {
    return this.#answer(args, (link, id, line, separator = '\n') => {
      return link.call('sendLineToStdin', { pm_id: checkOne(id), line: `${line}${separator}` })
    })
  }

  sendSignalToProcessName(...args) {
    return this.#answer(args, (link, signal, name) => {
      return link.call('sendSignalToProcessName', { signal, process_name: String(checkOne(name)) })
    })
  }

  sendSignalToProcessId(...args) {
    return this.#answer(args, (link, signal, id) => {
      return link.call('sendSignalToProcessId', { signal, process_id: checkOne(id) })
    })
  }

  // ---- information

  ping(...args) {
    return this.#answer(args, (link) => link.call('ping', {}))
  }

  getVersion(...args) {
    return this.#answer(args, (link) => link.call('getVersion', {}))
  }

  getPID(...args) {
    return this.#answer(args, async (link, name) => {
      // As in PM2, 0 asks for all, like no name at all.
      return (await link.run('pid', name ? { name: String(checkOne(name)) } : {})).result
    })
  }

  getProcessIdByName(...args) {
    return this.#answer(args, async (link, name) => {
      const context = later.requests.context(process.cwd())
      return (await link.run('idByName', { name: String(checkOne(name)), context })).result
    })
  }

  monitorState(...args) {
    return this.#answer(args, (link, state, target) => later.processes.monitorState(link, state, target))
  }
}

/** Runs a verb in which single apps may fail while the others go on. */
async function many(link, verb, request) {
  const { errors, result } = await link.run(verb, request)
  if (errors?.length > 0) {
    const { StartError, fromRefusal } = require('./errors')
    throw new StartError(errors.map(fromRefusal), result)
  }
  return result
}

function checkOne(target) {
  return later.requests.checkOne(target)
}

function checkObject(value, what) {
  if (value === null || typeof value !== 'object') {
    throw new TypeError(`the ${what} must be an object, not ${require('./describe').describe(value)}`)
  }
  return value
}

/** The home exactly as given, absolute or relative: PM2 does not expand `~`. Specification `wire.md` §1. */
function homeFolder(explicit) {
  const { HOME, OVER_HOME, PM2_HOME } = process.env
  const given = explicit || OVER_HOME || PM2_HOME
  if (given) return given
  const user = HOME || require('node:os').homedir()
  return user ? path.join(user, '.pm2') : '/etc/.pm2'
}

/** A folder of 16 hexadecimal digits, as PM2 names the home of an independent instance. */
function temporaryFolder() {
  const name = require('node:crypto').randomBytes(8).toString('hex')
  return path.join(require('node:os').tmpdir(), name)
}

module.exports = { API }
