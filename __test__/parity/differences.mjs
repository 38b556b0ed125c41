// Where pm2-rs differs from npm pm2 on purpose. Everything else that differs is a defect.
//
// id        short name
// scenario  which scenarios it may occur in
// path      which fields: `<step>/…` as printed by run.mjs
// when      optional, narrows it by the two values (`undefined`: not there)
// reason    why it is better, or why nobody can depend on it
//
// A complete run fails on entries that nothing needed.

const any = /^/
const absent = (value) => value === undefined

export const differences = [
  {
    id: 'in-app probe',
    scenario: any,
    path: /\/axm_(monitor|options|actions)(\/|$)/,
    reason: 'Metrics and actions come from the small runtime instead of the agent library: other values, and other moments at which they appear.',
  },
  {
    id: 'spawned processes have the fields of listed ones',
    scenario: any,
    path: /^[^/]+\/result\/\d+\/(name|pm_id|pid|monit|process)(\/|$)/,
    when: (left) => absent(left),
    reason: 'npm pm2 gives a serialised child process without name and pm_id. Ours is a superset, so that proc[0].pm_id works.',
  },
  {
    id: 'no container file',
    scenario: /^(app-view|arguments)$/,
    path: /^file [^/]+\/(argv\/0|execArgv\/?.*|title|mainFile)$/,
    reason: 'Node runs the script itself: argv[1] is the script, not a file of the process manager.',
  },
  {
    id: 'private files',
    scenario: any,
    path: /^files[^/]*\/[^/]+\/mode$/,
    reason: 'Home, sockets, logs and dumps are readable by their owner only.',
  },
  {
    id: 'lock file',
    scenario: any,
    path: /^files[^/]*\/pm2\.lock$/,
    when: (left) => absent(left),
    reason: 'The daemon holds a lock for life, so that there is never a second one.',
  },
  {
    id: 'sockets are removed',
    scenario: any,
    path: /^files[^/]*\/(rpc|pub)\.sock$/,
    when: (_, right) => absent(right),
    reason: 'A daemon that ends leaves no dead socket behind.',
  },
  {
    id: 'exit code of a signal death',
    scenario: /^exit-by-signal$/,
    path: /\/pm2_env\/(exit_code|exit_signal)$/,
    reason: 'npm pm2 says 0, which looks like success. Ours is 128 + signal, with its name beside it.',
  },
  {
    id: 'list of targets',
    scenario: /^target-array$/,
    path: any,
    reason: 'npm pm2 throws inside its client and the connection is dead. Ours takes a list.',
  },
  {
    id: 'both spellings in start(script, options)',
    scenario: /^start-script-options-underscored$/,
    path: any,
    reason: 'npm pm2 silently ignores underscored names in this form.',
  },
  {
    id: 'failed spawn is an error',
    scenario: /^start-missing-(interpreter|cwd)$/,
    path: /^(bad shebang|start|stop|delete|list)(\/|$)/,
    reason: 'npm pm2 reports a process that never ran as online, without pid. Ours gives an error and lists it as errored.',
  },
  {
    id: 'autostart:false can be started',
    scenario: /^autostart-false-restart$/,
    path: any,
    reason: 'npm pm2 answers a restart with success and leaves the app stopped.',
  },
  {
    id: 'no pid while waiting for a restart',
    scenario: /^restart-delay$/,
    path: /\/pid$/,
    when: (left, right) => left === '<pid>' && right === 0,
    reason: 'npm pm2 shows the dead pid, which by then may belong to somebody else.',
  },
  {
    id: 'no vendor agent',
    scenario: any,
    path: /(^|\/)PM2_INTERACTOR_PROCESSING$/,
    when: (_, right) => absent(right),
    reason: 'npm pm2 marks the environment of the caller when it looks for its SaaS agent, and copies the mark into every app. There is no agent here.',
  },
  {
    id: 'the environment of the caller is left alone',
    scenario: /^(kill-then-connect|env-values|working-directory)$/,
    path: /(^|\/)(PM2_SILENT|PM2_STATUS|PM2_JSON_PROCESSING|PWD)$|^file logs/,
    reason: 'npm pm2 writes these into process.env of the calling script, so that one call changes what the next one starts.',
  },
  {
    id: 'process tree as a list of pids',
    scenario: any,
    path: /\/_tree_pids(\/|$)/,
    when: (_, right) => absent(right),
    reason: 'A leftover of how npm pm2 kills; dead pids are of no use to anyone.',
  },
  {
    id: 'app runtime in the home',
    scenario: any,
    path: /^files[^/]*\/runtime-[\d.]+\.cjs$/,
    when: (left) => absent(left),
    reason: 'The file preloaded into Node apps; npm pm2 keeps its own in its package.',
  },
  {
    id: 'insides of a cluster worker object',
    scenario: /^cluster$/,
    path: /^start\/result\/\d+\/(state|id)$/,
    when: (_, right) => absent(right),
    reason: 'Fields of a Node object inside the daemon of npm pm2; they differ between Node versions.',
  },
  {
    id: 'reload of a cluster app is a restart so far',
    scenario: /^cluster$/,
    path: /^(reload|list after reload)\/result\//,
    reason: 'Rolling reload is not there yet: the answer describes the new worker, which was started after the old one had ended.',
  },
  {
    id: 'a stopped errored app is in the answer',
    scenario: /^(stop-of-errored|restart-of-errored)$/,
    path: /^(stop|delete)\/result\/\d+$/,
    when: (left) => absent(left),
    reason: 'npm pm2 leaves out entries that had no process; the caller cannot tell them from unknown ones.',
  },
  {
    id: 'a restored stopped entry has pid 0',
    scenario: /^dump-resurrect$/,
    path: /^after\/\d+\/pid$/,
    when: (left, right) => absent(left) && right === 0,
    reason: 'As every other stopped entry.',
  },
  {
    id: 'variables do not overwrite options',
    scenario: /^env-flattened$/,
    path: /^list\/\d+\/namespace$/,
    reason: 'In npm pm2 a variable called like an option replaces it by accident.',
  },
  {
    id: 'io is passed on as it was written',
    scenario: /^env-values$/,
    path: /^seen by the app\/io$/,
    reason: 'npm pm2 gives the option to the app in the object form only.',
  },
  {
    id: 'restart through an object or file keeps the whole environment',
    scenario: /^start-(existing-name|json-file|js-and-yaml-files)$/,
    path: /\/pm2_env\/env\/[^/]+$/,
    when: (left) => absent(left),
    reason: 'npm pm2 then shows only the declared variables under env although the app runs with all of them.',
  },
  {
    id: 'updateEnv is not a variable',
    scenario: any,
    path: /(^|\/)updateEnv$/,
    when: (_, right) => absent(right),
    reason: 'npm pm2 stores the option of its own call in the environment of the app.',
  },
  {
    id: 'insides of a process that died',
    scenario: /^listen-timeout$/,
    path: /\/_reloadLogs$/,
    reason: 'A function slot of the object inside the daemon of npm pm2.',
  },
  {
    id: 'no container file in the start by script',
    scenario: /^start-script-options$/,
    path: /^out log$/,
    reason: 'The app prints its argv: Node runs the script itself.',
  },
  {
    id: 'remote calls answer with the fields of a listed process',
    scenario: /^client-remote$/,
    path: /^executeRemote startProcessId\/result\/(name|pm_id|monit)$/,
    when: (left) => absent(left),
    reason: 'As for start: a superset.',
  },
  {
    id: 'YAML files are not read yet',
    scenario: /^start-js-and-yaml-files$/,
    path: /^(start yaml\/|list\/\d+$|list after restart\/\d+$)/,
    reason: 'A clear error says so.',
  },
  {
    id: 'the IPC channel is opened on first use',
    scenario: /^env-proc$/,
    path: /^environ node[^/]*\/(NODE_CHANNEL_FD|NODE_CHANNEL_SERIALIZATION_MODE|PM2_RS_CHANNEL_FD)$/,
    reason: 'An open channel costs a Node app 0.7 MB. The app runtime opens it when the app looks at it; process.env shows none of these variables under either.',
  },
]
