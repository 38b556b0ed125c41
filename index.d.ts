/**
 * The API of PM2 7.0.4, answered by pm2-rs.
 *
 * Every method takes a callback as its last argument, as in PM2, or gives a promise when there is none.
 * Each call settles exactly once. No method has to be called through its object:
 * `const { list } = require('pm2-rs')` works.
 *
 * When the connection to the daemon ends before a call is answered, the error has the code
 * `PM2_CONNECTION_LOST`; the next call connects again and launches a daemon if there is none.
 */
declare const pm2: pm2.Default

export = pm2

declare namespace pm2 {
  // Callbacks are declared as methods, whose parameters TypeScript compares in both directions: the usual
  // `(err: Error, list) => …` is accepted, and one function fits `start`, `restart` and `stop`.

  /** What most callbacks get: `null` and the result, or an error. */
  type Callback<T> = { call(error: Error | null, result: T): void }['call']

  /** Callback of methods that may fail for some apps while others start: then the error is an array. */
  type StartCallback = { call(error: PartialError | null, processes: Process[]): void }['call']

  /** One error, or one per app that failed; the array carries their messages, joined, as `message`. */
  type PartialError = Error | (Error[] & { message: string })

  /** Callback of methods that report nothing but their end. */
  type DoneCallback = { call(error?: Error | null): void }['call']

  type BusCallback = { call(error: Error | null, bus: Bus, socket: BusSocket): void }['call']

  /**
   * Which processes: the `pm_id` as number or text, a name, a namespace, the path of a script, `"all"` (every
   * process that is not a module), or `"/…/"`, a regular expression on the name. A list takes each in turn.
   * `"-"`: the names in a JSON list of apps on the standard input.
   */
  type Target = string | number | Array<string | number>

  /** The folder that holds sockets, logs and lists: by default `$PM2_HOME`, else `~/.pm2`. */
  interface CustomOptions {
    /** Base of relative scripts and configuration files. Default: the working directory now. */
    cwd?: string
    /** The home of this instance; wins over the environment variable `PM2_HOME`. */
    pm2_home?: string
    /** A fresh home below the temporary folder, and a daemon that ends with the script. Default: false. */
    independent?: boolean
    /** `false`: the daemon ends with the script, as with `connect(true)`. Default: true. */
    daemon_mode?: boolean
  }

  interface ConnectOptions {
    /** `false`: the daemon ends with the script. Default: true. */
    daemon_mode?: boolean
  }

  /** What `connect` answers. */
  interface Connection {
    daemon_mode?: undefined
    /** Whether this call launched the daemon. */
    new_pm2_instance: boolean
    rpc_socket_file: string
    pub_socket_file: string
    pm2_home: string
  }

  interface Success {
    success: true
  }

  type Status = 'online' | 'stopping' | 'stopped' | 'launching' | 'errored' | 'waiting restart'

  /** One process as `list` and `describe` give it. */
  interface ProcessDescription {
    /** Process id of the operating system; 0 when it does not run, absent when it could not be spawned. */
    pid?: number
    name: string
    /** PM2's own number of the process. */
    pm_id: number
    monit: Monit
    pm2_env: Pm2Env
  }

  interface Monit {
    /** Resident memory in bytes; 0 unless online. */
    memory: number
    /** Percent of one core since the last measurement, may exceed 100; 0 unless online. */
    cpu: number
  }

  /**
   * What the methods that change processes give per process. Read `pm2_env`: its fields `name`, `namespace`,
   * `pm_id`, `status`, `restart_time` and `env` are always there, the others for a newly started process only.
   */
  interface Process {
    pid?: number
    name?: string
    namespace?: string
    /** `"_old_<id>"` after a reload in cluster mode, which answers with the process that was replaced. */
    pm_id?: number | string
    status?: Status
    restart_time?: number
    process?: { pid: number }
    monit?: Monit
    pm2_env: Partial<Pm2Env> & Pick<Pm2Env, 'name' | 'namespace' | 'status' | 'restart_time' | 'env'> & {
      pm_id: number | string
    }
  }

  /** Options, resolved paths and state of a process; scalar variables of its environment appear here too. */
  interface Pm2Env {
    name: string
    namespace: string
    pm_id: number
    status: Status
    /** Restarts so far, automatic and asked for. */
    restart_time: number
    /** Restarts in a row after runs shorter than `min_uptime`. */
    unstable_restarts: number
    /** Epoch ms of the last spawn. */
    pm_uptime: number
    /** Epoch ms of the first start or the last restart that was asked for. */
    created_at: number | null
    /** Last exit code; 128 + n after a death by signal n, 0 after a stop that was asked for. */
    exit_code?: number
    /** Name of the signal that ended it, when one did. */
    exit_signal?: string
    /** Why the last spawn failed; the status is then `errored`. */
    spawn_error?: string
    /** It counts as started because the time for its word was over, or it ended before: it has not said that it is ready. */
    ready_assumed?: true
    /**
     * How those are found whom the app has started and who have lost their parent, with `treekill`: by a control group of
     * their own, as children that the daemon has adopted, or by the process group alone.
     */
    process_tree?: 'cgroup' | 'subreaper' | 'group'
    exec_mode: 'fork_mode' | 'cluster_mode'
    /** The number of processes that was asked for. */
    instances?: number
    exec_interpreter: string
    node_args: string[]
    args?: string[]
    pm_exec_path: string
    pm_cwd: string
    pm_out_log_path: string
    pm_err_log_path: string
    pm_log_path?: string
    /** Logs that cannot be written now. */
    log_errors?: Array<{ path: string; error: string; since: number; lost_bytes: number }>
    pm_pid_path: string
    watch?: boolean | string | string[]
    autorestart: boolean
    node_version?: string
    version?: string
    username: string
    env: Record<string, unknown>
    /** The variables of `env` that were declared for the app, each with what it hides of the inherited ones, or null. */
    declared_env?: Record<string, unknown>
    axm_actions?: unknown[]
    axm_monitor?: Record<string, { value: unknown; unit?: string; type?: string; historic?: boolean }>
    axm_options?: Record<string, unknown>
    [key: string]: unknown
  }

  type Environment = Record<string, unknown>

  /** Any text, so that an object declared before the call fits; only these are accepted at run time. */
  type ExecMode = 'fork' | 'cluster' | 'fork_mode' | 'cluster_mode' | (string & {})

  /** `none` is Node's word for `shared`. Any text, as above. */
  /** Settings of pm2-logrotate; numbers and booleans may be texts, as `pm2 set` writes them. */
  interface LogRotation {
    /** A log is rotated before it becomes larger; bytes, or text with `K`, `M` or `G`. Default: `10M`. */
    max_size?: number | string
    /** How many rotated files of a log are kept; `all`: all of them. Default: 30. */
    retain?: number | string
    /** `true` or `gzip` compresses rotated files with gzip, `zstd` with Zstandard. Default: false. */
    compress?: boolean | string
    /** Date in the name of a rotated file, in moment.js letters. Default: `YYYY-MM-DD_HH-mm-ss`. */
    dateFormat?: string
    /** Cron pattern of the times at which every log that is not empty is rotated; empty or false: none. Default: `0 0 * * *`. */
    rotateInterval?: string | false
    /** Time zone of the date in the name, such as `Europe/Berlin`. Default: that of the daemon. */
    TZ?: string
    /** Not of pm2-logrotate: how large a log and its rotated files may be together. Default: any size. */
    max_total_size?: number | string
    /** Accepted and without effect: sizes are looked at with every line. */
    workerInterval?: number | string
    /** Only in `module_conf.json`: whether the logs of modules are rotated as well. Default: true. */
    rotateModule?: boolean | string
  }

  type SchedulingPolicy = 'hybrid' | 'rr' | 'shared' | 'none' | (string & {})

  /**
   * Describes an app. In app objects and configuration files every option may be written in snake_case or
   * camelCase; as second argument of `start(script, options)` as well.
   *
   * Durations are milliseconds unless said otherwise.
   */
  interface StartOptions {
    /** Stand for `script` when there is none. */
    cmd?: string
    command?: string
    /** Environment variables used when started with `{env: '<name>'}`. */
    [environment: `env_${string}`]: Environment | undefined
    // The table in crates/pm2-core/src/app/options.rs; a test there writes this part.
    // <options>
    /** Path of the script, a command in PATH, or a shell command if it contains a space. `cmd` and `command` count when there is no script. */
    script?: string
    exec?: string
    /** Name of the process. Absent: the script's file name without its last extension. */
    name?: string
    /** Stored; acts only when given beside a configuration file. */
    name_prefix?: string
    namePrefix?: string
    /** Inherited variables to leave out: an array drops names containing one of its texts, a text drops that name, `true` keeps only the basic ones. */
    filter_env?: boolean | string | string[]
    filterEnv?: boolean | string | string[]
    /** Group the process belongs to; usable as a target. */
    namespace?: string
    /** Bookkeeping of modules. */
    install_url?: string
    installUrl?: string
    /** Working directory; relative to the caller's. Absent: the caller's. */
    cwd?: string
    /** Arguments of the process. */
    args?: string | Array<string | number>
    /** Program that runs the script; `none` runs the script itself. Absent: chosen by extension. */
    exec_interpreter?: string
    interpreter?: string
    execInterpreter?: string
    /** Arguments of the interpreter, before the script. */
    node_args?: string | string[]
    interpreter_args?: string | string[]
    interpreterArgs?: string | string[]
    nodeArgs?: string | string[]
    /** File for standard output; `NULL` for none. Absent: `<home>/logs/<name>-out.log`. */
    out_file?: string
    out_log?: string
    output?: string
    out?: string
    outFile?: string
    /** File for standard error; `NULL` for none. Absent: `<home>/logs/<name>-error.log`. */
    error_file?: string
    err_log?: string
    err_file?: string
    err?: string
    error?: string
    errorFile?: string
    /** A third file with both streams; `true` for `<home>/logs/<name>.log`. Absent: none. */
    log_file?: boolean | string
    log?: boolean | string
    logFile?: boolean | string
    /** `true` writes no log at all. Absent: false. */
    disable_logs?: boolean
    disableLogs?: boolean
    /** Not an option of PM2. Rotates the logs: `true`, or an object with settings of pm2-logrotate for this app, such as `{max_size: '10M', retain: 30, compress: true}`; `false` spares them. Absent: as `pm2-logrotate` in `module_conf.json` says. */
    log_rotate?: boolean | LogRotation
    logRotate?: boolean | LogRotation
    /** `json` writes one JSON object per line. */
    log_type?: string
    logType?: string
    /** Date put before each line, in day.js letters. Absent: no date. */
    log_date_format?: string
    logDateFormat?: string
    /** `true` stands for the date format `YYYY-MM-DDTHH:mm:ss`. Absent: false. */
    time?: boolean
    /** Environment, laid over the caller's. */
    env?: Environment
    /** Bytes, or a number with `K`, `M`, `G`; above it the process is restarted. */
    max_memory_restart?: number | string
    maxMemoryRestart?: number | string
    /** File for the process number. Absent: `<home>/pids/<name>.pid`. */
    pid_file?: string
    pid?: string
    pidFile?: string
    /** Wait before an automatic restart, ms. Absent: 0. */
    restart_delay?: number
    restartDelay?: number
    /** First wait before an automatic restart, ms; grows by half each time up to 15 000. */
    exp_backoff_restart_delay?: number
    expBackoffRestartDelay?: number
    /** Stored, without effect. */
    source_map_support?: boolean
    sourceMapSupport?: boolean
    /** `true` leaves source maps off in Node apps. Absent: false. */
    disable_source_map_support?: boolean
    disableSourceMapSupport?: boolean
    /** `true`: online once the process sends `ready`. Absent: false. */
    wait_ready?: boolean
    waitReady?: boolean
    /** Number of processes; `max` or 0 for one per CPU, negative for that many fewer. */
    instances?: number | string
    /** Wait between the stop signal and SIGKILL, ms. Absent: 1600. */
    kill_timeout?: number
    killTimeout?: number
    /** `true` stops by the message `shutdown` instead of a signal. Absent: false. */
    shutdown_with_message?: boolean
    shutdownWithMessage?: boolean
    /** Longest wait for a process to be ready, ms. Absent: 3000. */
    listen_timeout?: number
    listenTimeout?: number
    /** Cron pattern of five or six fields at which to restart; `0` for off. */
    cron_restart?: number | string
    cron?: number | string
    cronRestart?: number | string
    /** Not an option of PM2. `true`: the cron pattern also starts an app that somebody has stopped, as it does in PM2. Absent: false. */
    cron_starts_stopped?: boolean
    cronStartsStopped?: boolean
    /** `true` puts no id into the names of log files. Absent: true for a single process that is not in cluster mode. */
    merge_logs?: boolean
    combine_logs?: boolean
    mergeLogs?: boolean
    /** Whether git metadata may be looked up. */
    vizion?: boolean
    /** `false` lists the process without starting it. */
    autostart?: boolean
    /** `false` leaves the process stopped after it exits. */
    autorestart?: boolean
    /** Exit codes after which it is not restarted. */
    stop_exit_codes?: number | Array<number | string>
    stopExitCodes?: number | Array<number | string>
    /** Quiet time before a restart by watch, ms; the spelling `watchDelay` beside a script name is in seconds. */
    watch_delay?: number
    watchDelay?: number
    /** `true` or `[]` watches the working directory, else the given paths. Absent: false. */
    watch?: boolean | string | string[]
    /** Paths not to watch. Absent: dot files and `node_modules`. */
    ignore_watch?: string | string[]
    ignoreWatch?: string | string[]
    /** Options of the file watcher. */
    watch_options?: object
    watchOptions?: object
    /** A shorter run counts as unstable; ms or a number with `h`, `m`, `s`, at least 100. Absent: 1000. */
    min_uptime?: number | string
    minUptime?: number | string
    /** Unstable runs in a row after which the process is given up. Absent: 16. */
    max_restarts?: number
    maxRestarts?: number
    /** `true` forces fork mode. */
    execute_command?: boolean
    executeCommand?: boolean
    /** `cluster` or `fork`. Absent: cluster for Node apps with `instances`, else fork. */
    exec_mode?: ExecMode
    execMode?: ExecMode
    /** `true` starts a script that already runs again. */
    force?: boolean
    /** `true` ends the name with the chosen environment. Absent: false. */
    append_env_to_name?: boolean
    appendEnvToName?: boolean
    /** Commands run after `pull`. */
    post_update?: string[]
    postUpdate?: string[]
    /** Tracing by the agent; nothing is installed for it. */
    trace?: boolean
    /** `true` sets `trace` to false. */
    disable_trace?: boolean
    disableTrace?: boolean
    /** Accepted, without effect. */
    v8?: boolean
    /** Accepted, without effect. */
    event_loop_inspector?: boolean
    eventLoopInspector?: boolean
    /** `true` sets `trace` to true. */
    deep_monitoring?: boolean
    deepMonitoring?: boolean
    /** Variable that grows by one per instance. */
    increment_var?: string
    incrementVar?: string
    /** Variable that holds the number of the instance. */
    instance_var?: string
    instanceVar?: string
    /** `false` loads no runtime into Node apps. */
    pmx?: boolean | string
    /** `false` sets `pmx` to false. */
    automation?: boolean
    /** `false` signals only the main process. */
    treekill?: boolean
    /** Variable `PORT` of the app. */
    port?: number
    /** Informative; always the caller's user. */
    username?: string
    /** User to run as, name or number; root only. */
    uid?: number | string
    user?: number | string
    /** Group to run as, name or number. Absent: the user's. */
    gid?: number | string
    /** Not an option of PM2. `strict`: Node's own rule for unhandled rejections instead of logging them and going on. */
    unhandled_rejections?: string
    unhandledRejections?: string
    /** Not an option of PM2. How connections come to the workers of a cluster app. `hybrid`: in turn, at high rates straight from the kernel; `rr`: always in turn; `shared`: whoever is first. Absent: `hybrid`. */
    scheduling_policy?: SchedulingPolicy
    schedulingPolicy?: SchedulingPolicy
    /** Not an option of PM2. `true`: the same worker of a cluster app serves all connections of a client address, as WebSocket libraries with long polling need it. Absent: false. */
    sticky?: boolean
    /** No console window on Windows. */
    windowsHide?: boolean
    /** How often a dying process is looked at, ms. */
    kill_retry_time?: number
    killRetryTime?: number
    /** `true` beside a script writes the options into the file `<name>-pm2.json`, which can be started like any other. */
    write?: boolean
    /** Configuration of the agent; variable `io` of the app as JSON text. */
    io?: object
    // </options>
    /** Beside a script: its arguments. */
    scriptArgs?: string[]
    [option: string]: unknown
  }

  /** What a configuration file may contain. */
  interface Config {
    apps?: StartOptions | StartOptions[]
    pm2?: StartOptions | StartOptions[] | Config
    deploy?: Record<string, { env?: Environment; [key: string]: unknown }>
  }

  /** How to start what a configuration file or app objects describe. */
  interface ConfigOptions {
    /** Name of the environment: `env_<name>` is used. */
    env?: string
    /** Names of the apps to start, separated by commas or blanks; the others are skipped. */
    only?: string
    namespace?: string
    watch?: boolean
    ignore_watch?: string[]
    instances?: number
    uid?: number
    gid?: number
    cwd?: string
    /** Each name becomes `<prefix>:<name>`. */
    name_prefix?: string
    [option: string]: unknown
  }

  interface RestartOptions extends StartOptions {
    /** Copy the caller's environment into the app. Default: false. */
    updateEnv?: boolean
    /** How many processes at a time. Default: `$PM2_CONCURRENT_ACTIONS` or 2. */
    parallel?: number
  }

  interface ReloadOptions extends RestartOptions {
    /** Do not wait for nor respect another reload of this home. Default: false. */
    force?: boolean
  }

  interface Packet {
    /** The `pm_id` of the app. */
    id?: number
    /** Topic PM2 requires; here by default `type`, else `"process:msg"`. */
    topic?: string
    type?: string
    /** Anything that JSON can carry, not `undefined`. */
    data: unknown
    [key: string]: unknown
  }

  /** An action for the process `id`, or for all that answer to `name`. */
  interface ActionCommand {
    id?: number | string
    name?: string
    /** The name of the action. */
    msg: string
    /** What it gets. Default: nothing */
    opts?: unknown
    uuid?: string
  }

  /** From which process a packet of the bus is. */
  interface BusProcess {
    /** `"_old_<id>"` for a worker that a reload has replaced. */
    pm_id: number | string
    name: string
    namespace: string
    rev?: string | null
  }

  interface ActionReply {
    /** Epoch ms. */
    at: number
    process: BusProcess
    data: { at: number; action_name: string; return: unknown }
  }

  interface ProcessEvent {
    /** `online`, `exit`, `restart overlimit`, `start`, and what clients have done: `restart`, `stop`, `reload`, … */
    event: string
    /** Whether a client did it. */
    manually: boolean
    /** Without `env`. */
    process: Omit<Process['pm2_env'], 'env'>
    /** Epoch ms. */
    at: number
  }

  interface LogPacket {
    process: BusProcess
    /** Epoch ms. */
    at: number
    /** As much as came at once: lines, or parts of them. */
    data: string
  }

  interface MessagePacket {
    process: BusProcess
    /** Epoch ms. */
    at: number
    /** What an app sent as `{type, data}`. */
    data?: any
    /** What it sent otherwise, whole. */
    raw?: any
  }

  interface ExceptionPacket {
    process: BusProcess
    /** Epoch ms. */
    at: number
    data: { message: string; stack: string; name: string; context?: string; callsite?: string; [key: string]: unknown }
  }

  /** Packets by topic; apps choose topics of their own. */
  interface BusTopics {
    'process:event': ProcessEvent
    'process:msg': MessagePacket
    'process:exception': ExceptionPacket
    'log:out': LogPacket
    'log:err': LogPacket
    'log:PM2': LogPacket
    'axm:reply': ActionReply
    'pm2:kill': { status: 'killed'; msg: string }
    /** So many packets were lost here, because this bus was not read. */
    'pm2:overflow': { lost: number; at: number }
  }

  /** Listens to events; nothing can be sent over it. */
  interface Bus extends AsyncIterable<[topic: string, packet: any]> {
    on<Topic extends keyof BusTopics>(topic: Topic, listener: (packet: BusTopics[Topic]) => void): this
    /**
     * Calls the listener for each event of that topic, such as `log:out`, `process:event`, `process:msg`.
     * A `*` in the topic stands for one or more characters, which come as leading argument.
     */
    on(topic: string, listener: (...args: any[]) => void): this
    /** Drops what was registered with exactly this text: that listener, or all. */
    off(topic: string, listener?: (...args: any[]) => void): this
    /**
     * The events of a topic one after the other, from now on until the bus is closed: arrays of what a listener gets.
     * While nobody takes them, this bus reads no more; what the daemon has no room for is counted in `pm2:overflow`.
     * Default: all of them, as `[topic, packet]`.
     */
    events(topic?: string): AsyncIterableIterator<any[]>
    /** Ends the connection; as long as it is open the script does not end. */
    close(): void
    readonly sock: BusSocket
    readonly listeners: ReadonlyArray<{ event: string; fn: (...args: any[]) => void }>
  }

  interface BusSocket {
    readonly connected: boolean
    on(event: 'connect' | 'close' | 'reconnect attempt', listener: () => void): this
    on(event: 'error', listener: (error: Error) => void): this
    once(event: 'connect' | 'close' | 'reconnect attempt', listener: () => void): this
    close(): void
  }

  /** Remote methods one by one. */
  interface Client {
    readonly pm2_home: string
    readonly rpc_socket_file: string
    readonly pub_socket_file: string
    start(callback: Callback<Connection>): void
    start(): Promise<Connection>
    close(callback: DoneCallback): void
    close(): Promise<void>
    /** Calls a method of the daemon with exactly that argument. */
    executeRemote(method: string, argument: unknown, callback: Callback<any>): void
    executeRemote(method: string, argument?: unknown): Promise<any>
    /** Whether a daemon listens. The boolean is the callback's first argument; nothing is launched. */
    pingDaemon(callback: (alive: boolean) => void): void
    pingDaemon(): Promise<boolean>
    killDaemon(callback: Callback<Success>): void
    killDaemon(): Promise<Success>
    launchBus(callback: BusCallback): void
    launchBus(): Promise<Bus>
    disconnectBus(callback: DoneCallback): void
    disconnectBus(): Promise<void>
    /** Publishes `process:event` with that name for the process. */
    notifyGod(action: string, id: number, callback: DoneCallback): void
    notifyGod(action: string, id: number): Promise<void>
    getAllProcess(callback: Callback<ProcessDescription[]>): void
    getAllProcess(): Promise<ProcessDescription[]>
    getAllProcessId(callback: Callback<number[]>): void
    getAllProcessId(): Promise<number[]>
    getAllProcessIdWithoutModules(callback: Callback<number[]>): void
    getAllProcessIdWithoutModules(): Promise<number[]>
    getProcessIdByName(name: string, callback: FoundCallback): void
    getProcessIdByName(name: string): Promise<number[]>
    getProcessIdsByNamespace(namespace: string, callback: FoundCallback): void
    getProcessIdsByNamespace(namespace: string): Promise<number[]>
    getProcessByName(name: string, callback: Callback<ProcessDescription[]>): void
    getProcessByName(name: string): Promise<ProcessDescription[]>
    /** Matches the name, the script, the `pm_id` and the operating system's pid. */
    getProcessByNameOrId(target: string | number, callback: Callback<ProcessDescription[]>): void
    getProcessByNameOrId(target: string | number): Promise<ProcessDescription[]>
    startWatch(method: string, argument: unknown, callback: DoneCallback): void
    startWatch(method: string, argument: unknown): Promise<void>
    stopWatch(method: string, argument: unknown, callback: DoneCallback): void
    stopWatch(method: string, argument: unknown): Promise<void>
    toggleWatch(method: string, argument: unknown, callback: DoneCallback): void
    toggleWatch(method: string, argument: unknown): Promise<void>
  }

  /** Any text, so that a variable fits; only these are accepted at run time. */
  type Platform =
    | 'systemd' | 'ubuntu' | 'centos' | 'arch' | 'oracle' | 'redhat'
    | 'upstart' | 'ubuntu12' | 'ubuntu14'
    | 'systemv' | 'amazon' | 'centos6'
    | 'openrc' | 'gentoo'
    | 'launchd' | 'darwin' | 'macos'
    | 'rcd' | 'freebsd'
    | 'rcd-openbsd' | 'openbsd'
    | 'smf' | 'sunos' | 'solaris'
    | (string & {})

  interface LogWishes {
    /** How many of the last lines are printed; 0: none. Default: 20. */
    lines?: number
    /** The lines alone, those of standard error to standard error. */
    raw?: boolean
    /** The date of the display before each line that comes: day.js format, or `true` for `YYYY-MM-DD-HH:mm:ss`. */
    timestamp?: boolean | string
    /** Only this stream. */
    exclusive?: 'out' | 'err' | false
    /** Text that is marked where it first occurs in a line that comes. */
    highlight?: string
    /** One JSON object per event, and nothing of the past. */
    json?: boolean
    /** `key=value` pairs, and nothing of the past. */
    format?: boolean
  }

  interface LogStream {
    close(): void
  }

  interface StartupOptions {
    /** Whom the daemon and its apps belong to. Default: `$USER`, `$LOGNAME`, else the user of this process. */
    user?: string
    /** The folder in which `.pm2` is. Default: the home of this instance; with another `user` that user's. */
    hp?: string
    /** Name of the service. Default: `pm2-<user>`. */
    serviceName?: string
    /** systemd: wait until the machine has an address. Default: false. */
    waitIp?: boolean
  }

  interface StartupResult {
    /** The file that was written. */
    destination: string
    /** Its text. */
    template: string
  }

  interface UninstallStartupResult {
    /** What was done, in this order. */
    commands: string[]
    platform: string
    /** The commands that failed, when some did, with what they said. */
    failed?: Array<{ command: string; output: string }>
  }

  type FoundCallback = {
    call(error: Error | null, ids: number[], processes: Record<number, ProcessDescription>): void
  }['call']

  type DestroyCallback = { call(code: number | Error, out: string, err: string): void }['call']

  /** A promise is rejected with this when some apps of one call failed and others did not. */
  interface StartError extends Error {
    name: 'StartError'
    errors: Error[]
    /** The processes that did start. */
    processes: Process[]
  }

  interface API {
    /** Base of relative scripts and configuration files. */
    readonly cwd: string
    readonly pm2_home: string
    readonly daemon_mode: boolean
    readonly Client: Client

    /**
     * Connects to the daemon of the home, launching one when none listens. All other methods do that by themselves.
     *
     * @param noDaemonMode true: a daemon launched by this call ends, with its apps, when the script ends. Default: false.
     */
    connect(callback: Callback<Connection>): void
    connect(noDaemonMode: boolean | ConnectOptions, callback: Callback<Connection>): void
    connect(noDaemonMode?: boolean | ConnectOptions): Promise<Connection>

    /**
     * Closes the connection and every bus, so that the script can end. Calls still on their way get up to 200 ms.
     *
     * The callback gets an error when there was nothing to close; the promise does not.
     */
    disconnect(callback: DoneCallback): void
    disconnect(): Promise<void>
    /** Same as `disconnect`. */
    close(callback: DoneCallback): void
    close(): Promise<void>

    /** Opens a message bus, one more connection. */
    launchBus(callback: BusCallback): void
    launchBus(): Promise<Bus>

    /** Deletes all processes and ends the daemon. Launches none to end it. */
    killDaemon(callback: Callback<Success>): void
    killDaemon(): Promise<Success>
    /** Same as `killDaemon`. */
    kill(callback: Callback<Success>): void
    kill(): Promise<Success>

    /** Ends the daemon and removes the home; not one whose path contains `.pm2`. Callback: `(0, '', '')`. */
    destroy(callback: DestroyCallback): void
    destroy(): Promise<void>

    /**
     * Starts a script, or what app objects or a configuration file describe. An app whose name exists is
     * restarted with the new description.
     *
     * A configuration file is recognised by `.json`, `.config.js`, `.config.cjs` or `.config.mjs` in its name.
     */
    start(script: string, callback: StartCallback): void
    start(script: string, options: StartOptions | ConfigOptions, callback: StartCallback): void
    start(script: string, configFile: string, callback: StartCallback): void
    start(apps: StartOptions | StartOptions[] | Config, callback: StartCallback): void
    start(apps: StartOptions | StartOptions[] | Config, options: ConfigOptions, callback: StartCallback): void
    start(script: string, options?: StartOptions | ConfigOptions | string): Promise<Process[]>
    start(apps: StartOptions | StartOptions[] | Config, options?: ConfigOptions): Promise<Process[]>

    /** Stops and starts; app objects and configuration files as in `start`. */
    restart(target: Target | StartOptions | StartOptions[] | Config, callback: StartCallback): void
    restart(
      target: Target | StartOptions | StartOptions[] | Config,
      options: RestartOptions | ConfigOptions,
      callback: StartCallback
    ): void
    restart(
      target: Target | StartOptions | StartOptions[] | Config,
      options?: RestartOptions | ConfigOptions
    ): Promise<Process[]>

    /**
     * In cluster mode replaces process by process without a gap, otherwise as `restart`. When a new process fails, or is
     * not ready in time, the old one stays and the error has the code `PM2_RELOAD_ABORTED`.
     */
    reload(target: Target | StartOptions | StartOptions[] | Config, callback: StartCallback): void
    reload(
      target: Target | StartOptions | StartOptions[] | Config,
      options: ReloadOptions | ConfigOptions,
      callback: StartCallback
    ): void
    reload(
      target: Target | StartOptions | StartOptions[] | Config,
      options?: ReloadOptions | ConfigOptions
    ): Promise<Process[]>

    /** As `reload`, and the old process gets the IPC message `"shutdown"` and time to end by itself. */
    gracefulReload(target: Target, callback: StartCallback): void
    gracefulReload(target: Target, options: ReloadOptions, callback: StartCallback): void
    gracefulReload(target: Target, options?: ReloadOptions): Promise<Process[]>

    /** Stops processes and keeps them in the list. A configuration file or app objects mean the names in them. */
    stop(target: Target | StartOptions | StartOptions[] | Config, callback: Callback<Process[]>): void
    stop(target: Target | StartOptions | StartOptions[] | Config): Promise<Process[]>

    /** Stops processes and forgets them. `delete(jsonText, 'pipe')` takes app objects as JSON text. */
    delete(target: Target | StartOptions | StartOptions[] | Config, callback: Callback<Process[]>): void
    delete(jsonText: string, via: 'pipe', callback: Callback<Process[]>): void
    delete(target: Target | StartOptions | StartOptions[] | Config, via?: 'pipe'): Promise<Process[]>

    /** Every process, ascending `pm_id`. */
    list(callback: Callback<ProcessDescription[]>): void
    list(options: object, callback: Callback<ProcessDescription[]>): void
    list(options?: object): Promise<ProcessDescription[]>

    /** The processes of that name or `pm_id`; unknown ones give an empty list. */
    describe(target: string | number, callback: Callback<ProcessDescription[]>): void
    describe(target: string | number): Promise<ProcessDescription[]>

    /** Brings the processes of that name to a number, or changes it by `"+n"` or `"-n"`. The oldest go first. */
    scale(name: string, count: number | string, callback: Callback<Success>): void
    scale(name: string, count: number | string): Promise<Success>

    /** Sets the restart counters of a name, a `pm_id` or `"all"` to 0. */
    reset(target: string | number, callback: Callback<Success>): void
    reset(target: string | number): Promise<Success>

    /**
     * Writes the process list to `<home>/dump.pm2`, or to `$PM2_DUMP_FILE_PATH`.
     *
     * @param force also write an empty list. Default: false.
     */
    dump(callback: Callback<Success>): void
    dump(force: boolean, callback: Callback<Success>): void
    dump(force?: boolean): Promise<Success>
    /** Does nothing; kept because PM2 has it. */
    autodump(callback: DoneCallback): void
    autodump(): Promise<void>
    /** Empties the list on disk. */
    clearDump(callback: DoneCallback): void
    clearDump(): Promise<void>
    /** Starts what the list on disk names and does not exist yet. */
    resurrect(callback: StartCallback): void
    resurrect(): Promise<Process[]>

    /**
     * Makes the daemon start with the machine, with the processes that run now: saves the list, writes the file of the
     * init system and makes it known there.
     *
     * Who is not root gets an error with code `PM2_NOT_ROOT`, whose message ends with the command that root has to run;
     * nothing is changed then.
     *
     * @param platform an init system or an operating system that has one. Absent: the one that is found.
     */
    startup(callback: Callback<StartupResult>): void
    startup(platform: Platform | null | undefined, callback: Callback<StartupResult>): void
    startup(
      platform: Platform | null | undefined,
      options: StartupOptions,
      callback: Callback<StartupResult>
    ): void
    startup(platform?: Platform | null, options?: StartupOptions): Promise<StartupResult>
    /** Undoes `startup`. A part that fails does not keep the others from being done. */
    uninstallStartup(callback: Callback<UninstallStartupResult>): void
    uninstallStartup(platform: Platform | null | undefined, callback: Callback<UninstallStartupResult>): void
    uninstallStartup(
      platform: Platform | null | undefined,
      options: StartupOptions,
      callback: Callback<UninstallStartupResult>
    ): void
    uninstallStartup(platform?: Platform | null, options?: StartupOptions): Promise<UninstallStartupResult>

    /** Empties the logs of a name or `pm_id`; without target those of all, and `pm2.log`. */
    flush(callback: Callback<ProcessDescription[]>): void
    flush(target: string | number | undefined, callback: Callback<ProcessDescription[]>): void
    flush(target?: string | number): Promise<ProcessDescription[]>
    /** Opens all log files anew, after something else moved them. */
    reloadLogs(callback: Callback<object>): void
    reloadLogs(): Promise<object>
    /**
     * With `{ rotate: true }` each log goes on in a new file with a higher number, such as `app-out-1.log`, and
     * `pm_out_log_path` and the like name that one. npm pm2's daemon only opens the files anew.
     */
    reloadLogs(options: { rotate?: boolean }, callback: Callback<object>): void
    reloadLogs(options: { rotate?: boolean }): Promise<object>

    /**
     * Prints the last lines of logs, by default 20 of each, also those in rotated and compressed files.
     *
     * @param target `all`, an id, a name, a namespace, or a pattern between slashes
     */
    printLogs(target?: string | number, lines?: number, raw?: boolean, timestamp?: boolean | string, exclusive?: 'out' | 'err' | false): Promise<void>
    printLogs(target: string | number, options: LogWishes): Promise<void>
    /**
     * Prints the last lines as `printLogs` does, and then every line that comes. It keeps Node's loop alive until `close()`.
     */
    streamLogs(target?: string | number, lines?: number, raw?: boolean, timestamp?: boolean | string, exclusive?: 'out' | 'err' | false, highlight?: string): Promise<LogStream>
    streamLogs(target: string | number, options: LogWishes): Promise<LogStream>

    /**
     * Sends a packet to an app, which gets it whole in `process.on('message')`. Answers when it has been written to the
     * app's channel, so that it will be there; fails when the app is unknown, offline, or has not read for so long that
     * the channel is full.
     */
    sendDataToProcessId(packet: Packet & { id: number }, callback: Callback<Success & { data: Packet }>): void
    sendDataToProcessId(id: number, packet: Packet, callback: Callback<Success & { data: Packet }>): void
    sendDataToProcessId(packet: Packet & { id: number }): Promise<Success & { data: Packet }>
    sendDataToProcessId(id: number, packet: Packet): Promise<Success & { data: Packet }>

    /**
     * Has processes carry out an action that they offer (see `axm_actions`), and gives what each answered.
     *
     * @param target `pm_id`, name, namespace, file name of the script, or `"all"`
     * @param params what the action gets. Default: nothing
     */
    trigger(target: number | string, action: string, callback: Callback<ActionReply[]>): void
    trigger(target: number | string, action: string, params: unknown, callback: Callback<ActionReply[]>): void
    trigger(target: number | string, action: string, params?: unknown): Promise<ActionReply[]>
    /** The same without waiting for answers, which come as `axm:reply` on the bus. */
    msgProcess(command: ActionCommand, callback: Callback<Success & { process_count: number }>): void
    msgProcess(command: ActionCommand): Promise<Success & { process_count: number }>

    /** Writes a line to the standard input of a fork mode app; the separator, by default `"\n"`, is added. */
    sendLineToStdin(id: number | string, line: string, callback: Callback<{ pm_id: number | string; line: string }>): void
    sendLineToStdin(
      id: number | string,
      line: string,
      separator: string,
      callback: Callback<{ pm_id: number | string; line: string }>
    ): void
    sendLineToStdin(
      id: number | string,
      line: string,
      separator?: string
    ): Promise<{ pm_id: number | string; line: string }>

    /** Signals the online processes of a name, a script path or `"all"`. Gives all processes, without `monit`. */
    sendSignalToProcessName(
      signal: string | number,
      name: string | number,
      callback: Callback<Array<Omit<ProcessDescription, 'monit'>>>
    ): void
    sendSignalToProcessName(
      signal: string | number,
      name: string | number
    ): Promise<Array<Omit<ProcessDescription, 'monit'>>>
    /** Signals one process. Gives all processes, without `monit`. */
    sendSignalToProcessId(
      signal: string | number,
      id: number | string,
      callback: Callback<Array<Omit<ProcessDescription, 'monit'>>>
    ): void
    sendSignalToProcessId(
      signal: string | number,
      id: number | string
    ): Promise<Array<Omit<ProcessDescription, 'monit'>>>

    /** Whether the daemon answers; launches one if there is none. */
    ping(callback: Callback<{ msg: 'pong' }>): void
    ping(): Promise<{ msg: 'pong' }>
    /** The version of PM2 that the daemon speaks. */
    getVersion(callback: Callback<string>): void
    getVersion(): Promise<string>
    /** The operating system's pids of a name, or of all; 0 for stopped ones. */
    getPID(callback: Callback<number[]>): void
    getPID(name: string | number, callback: Callback<number[]>): void
    getPID(name?: string | number): Promise<number[]>
    /** The `pm_id`s of a name or script path; unknown ones give an empty list. */
    getProcessIdByName(name: string, callback: Callback<number[]>): void
    getProcessIdByName(name: string): Promise<number[]>
    /** Sets or clears the mark that a process is monitored. */
    monitorState(
      state: 'monitor' | 'unmonitor',
      target: string | number,
      callback: Callback<(Success & { pm_id: number }) | undefined>
    ): void
    monitorState(
      state: 'monitor' | 'unmonitor',
      target: string | number
    ): Promise<(Success & { pm_id: number }) | undefined>
  }

  /** The default instance also carries the class, for further instances with homes of their own. */
  interface Default extends API {
    custom: { new (options?: CustomOptions): API; prototype: API }
  }
}
