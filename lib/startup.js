'use strict'

// `startup` and `uninstallStartup`: the daemon starts with the machine. No connection of this instance is needed.
// Behaviour of PM2 7.0.4, specification `api.md` §5.11.

const { describe } = require('./describe')
const { fromRefusal } = require('./errors')

/**
 * @param native what does it; `lib/native.js` when not given
 * @param home the home of the instance, absolute
 * @returns `{destination, template}`, or for `remove` `{commands, platform, failed?}`
 */
async function startup(native, home, remove, platform, options) {
  const given = options ?? {}
  if (typeof given !== 'object') throw new TypeError(`the options must be an object, not ${describe(given)}`)
  const request = {
    platform: text('platform', platform),
    user: text('user', given.user),
    hp: text('hp', given.hp),
    serviceName: text('serviceName', given.serviceName),
    waitIp: Boolean(given.waitIp)
  }
  const door = native ?? require('./native')
  const reply = JSON.parse(await door.startup({ remove, home, env: process.env }, request))
  if (reply.error !== undefined) throw fromRefusal(reply.error)
  return reply.result
}

function text(name, value) {
  // Falsy: as if it was not there.
  if (!value) return undefined
  if (typeof value !== 'string') throw new TypeError(`${name} must be a text, not ${describe(value)}`)
  return value
}

module.exports = { startup }
