'use strict'

// Where the files of a PM2 home are, as far as JavaScript touches or shows them itself: the bus socket,
// and the daemon's log that `flush` empties. The native side resolves the same names for everything
// else (Behaviour of PM2 7.0.4, specification `wire.md` §1).

const path = require('node:path')

/** The files of a home; `folder` is absolute. */
function paths(folder, env = process.env) {
  return {
    rpc: env.PM2_DAEMON_RPC_PORT || path.join(folder, 'rpc.sock'),
    pub: env.PM2_DAEMON_PUB_PORT || path.join(folder, 'pub.sock'),
    log: env.PM2_LOG_FILE_PATH || path.join(folder, 'pm2.log')
  }
}

/** What `net.connect` wants for a socket path or a `tcp://host:port` or `unix:` URL. */
function endpoint(text) {
  if (!text.includes('://')) return { path: text }
  const url = new URL(text)
  return url.protocol === 'unix:'
    ? { path: url.pathname }
    : { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port) }
}

module.exports = { endpoint, paths }
