'use strict'

// The door to the native side. The addon is loaded at the first connection, not at `require`: a
// script that only loads the module pays nothing for it.

const path = require('node:path')
const { fileURLToPath } = require('node:url')

let loaded

function load() {
  loaded ??= require('../binding.js')
  return loaded
}

/** The native executable lies beside the addon that was loaded, in a checkout as in a platform package. */
function executable() {
  const name = process.platform === 'win32' ? 'pm2-rs.exe' : 'pm2-rs'
  return path.join(path.dirname(fileURLToPath(load().moduleUrl())), name)
}

/**
 * Connects to the daemon of a home, launching one when none listens.
 *
 * @returns a connection `{call, run, closed, close, info}`, or the refusal `{message, code?}`.
 */
function connect({ home, cwd, env, attached }) {
  return load().connect({ executable: executable(), home, cwd, env: JSON.stringify(env), attached })
}

/** Whether a daemon of that home listens; launches none. */
function ping({ home, env }) {
  return load().ping({ home, env: JSON.stringify(env) })
}

/**
 * Makes the daemon start with the machine, or undoes that.
 *
 * @returns JSON text of `{result}` or `{error}`
 */
function startup({ remove, home, env }, request) {
  return load().startup({ remove, executable: executable(), home, env: JSON.stringify(env) }, JSON.stringify(request))
}

/** Shows lines of logs: `{tail, show}`. */
function logLines(wishes) {
  const { LogLines } = load()
  return new LogLines(JSON.stringify(wishes))
}

/** A YAML text: `{json}`, or `{error: {message, line, column}}`. */
function parseYaml(text) {
  return load().parseYaml(text)
}

module.exports = { connect, logLines, parseYaml, ping, startup }
