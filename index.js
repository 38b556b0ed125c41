'use strict'

// `require('pm2-rs')`: one ready instance, as `require('pm2')` gives, and the class behind it.

const { API } = require('./lib/api')

const pm2 = new API()

module.exports = Object.defineProperty(pm2, 'custom', { value: API, enumerable: true, writable: true, configurable: true })
