'use strict'

// `require('pm2-rs')`: one ready instance, as `require('pm2')` gives, and the class behind it.

const { API } = require('./lib/api')

const pm2 = new API()

module.exports = pm2
module.exports.custom = API

// Never runs. Node looks for the names of `import { connect } from 'pm2-rs'` in the text of this file.
0 && (module.exports = {
  connect, disconnect, close, launchBus, killDaemon, kill, destroy,
  start, restart, reload, gracefulReload, stop, 'delete': pm2, list, describe, scale, reset,
  dump, autodump, clearDump, resurrect, startup, uninstallStartup, flush, reloadLogs, printLogs, streamLogs,
  sendDataToProcessId, trigger, msgProcess, sendLineToStdin, sendSignalToProcessName, sendSignalToProcessId,
  ping, getVersion, getPID, getProcessIdByName, monitorState
})
