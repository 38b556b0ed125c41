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
]
