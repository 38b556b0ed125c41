'use strict';
// Preloaded into every managed Node app (unless `pmx` is false), before the app's own code.
// It leaves no trace: neither in process.execArgv, which child processes inherit, nor in the
// environment, nor in require.cache. Every line here costs every app memory and start-up time.

const { execArgv, env } = process;
const at = execArgv.findIndex((word, i) => word === '--require' && execArgv[i + 1] === __filename);
if (at >= 0) execArgv.splice(at, 2);
delete require.cache[__filename];

// Set in fork mode. The process that `--watch` starts inherits it, but has a parent and a channel of its own.
const channel = Number(env.PM2_RS_CHANNEL_FD);
delete env.PM2_RS_CHANNEL_FD;

let sending = process.send;
let opened = !channel || sending !== undefined;
let hidden = false;

// Worker threads load this file too; there `process.chdir` is a function that only throws.
if (!process.chdir.disabled && (channel || sending)) {
  if (env.disable_source_map_support !== 'true') process.setSourceMapsEnabled(true);
  say({ node_version: process.versions.node });
  if (!opened) openOnFirstUse(channel);
  // That there is nothing left to do is no crash, however soon; not so `process.exit()`.
  if (channel) process.once('beforeExit', () => say({ cmd: 'NODE_PM2RS', act: 'done' }));
  else drainWhenTold();

  waitForWrites('stdout');
  waitForWrites('stderr');

  measure();
  process.on('uncaughtExceptionMonitor', (error) => {
    // A callback of the app, or of one of its domains, handles it.
    if (!process.hasUncaughtExceptionCaptureCallback()) report(error);
  });
  // As under PM2, an unhandled rejection is reported and the app goes on;
  // `unhandled_rejections: "strict"` keeps Node's own rule.
  if (env.unhandled_rejections !== 'strict') {
    process.on('unhandledRejection', (reason) => {
      try {
        console.error(reason);
      } catch {
        // It cannot even be shown.
      }
      report(reason);
    });
  }
}

// Into a full pipe Node writes in the background, and `process.exit()` drops what has not left. A write that waits
// leaves nothing behind; the daemon reads all the time.
function waitForWrites(name) {
  const original = Object.getOwnPropertyDescriptor(process, name);
  if (!original.get || !original.configurable) return;
  Object.defineProperty(process, name, {
    ...original,
    get() {
      Object.defineProperty(process, name, original);
      let stream;
      // Node makes sure that the stream is not the channel, which is no reason to open that.
      hidden = true;
      try {
        stream = process[name];
      } finally {
        hidden = false;
      }
      if (stream?._type === 'pipe') stream._handle?.setBlocking?.(true);
      return stream;
    },
  });
}

// Never throws: what cannot be sent is lost. Waits for the daemon only to the end of a message it has begun, which
// would swallow the next one otherwise, and to begin one when told to.
function say(message, patiently) {
  if (opened) {
    if (process.connected) sending.call(process, message, () => {});
    return;
  }
  let text;
  let at = 0;
  let waits = 0;
  do {
    try {
      text ??= Buffer.from(`${JSON.stringify(message)}\n`);
      at += require('fs').writeSync(channel, text, at);
    } catch ({ code }) {
      // The daemon is gone, or has not read for seconds.
      if (code !== 'EAGAIN' || (at === 0 && !patiently) || waits++ > 5000) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  } while (at < text.length);
}

// What npm pm2 shows of every Node app: every second while it works, ever more seldom while it does nothing.
// The timer is no reason for it to stay.
function measure() {
  const { cpuUsage, hrtime, memoryUsage } = process;
  // The app may put others in its place.
  const { setTimeout } = globalThis;
  const delays = [];
  let used;
  const wait = (seconds) => {
    const due = hrtime.bigint() + BigInt(seconds * 1e9);
    setTimeout(() => {
      if (opened && !process.connected) return;
      delays.push(Math.max(Number(hrtime.bigint() - due) / 1e6, 0));
      if (delays.length > 60) delays.shift();
      say({ type: 'axm:monitor', data: metrics(memoryUsage(), [...delays].sort((one, other) => one - other)) });
      const { user, system } = cpuUsage(used);
      used = cpuUsage();
      const isIdle = user + system < 1e4 * seconds;
      wait(isIdle ? Math.min(2 * seconds, 30) : 1);
    }, seconds * 1000).unref();
  };
  wait(1);
}

function metrics({ heapTotal, heapUsed }, delays) {
  const mebibytes = (bytes) => (bytes / 1048576).toFixed(2);
  const delay = (share) => delays[Math.ceil(delays.length * share) - 1].toFixed(2);
  const count = (list) => process[list]?.().length ?? 0;
  const metric = (value, type, unit) => ({ historic: true, unit, type: `internal/${type}`, value });
  return {
    'Heap Size': metric(mebibytes(heapTotal), 'v8/heap/total', 'MiB'),
    'Heap Usage': metric(Math.round((heapUsed / heapTotal) * 1e4) / 100, 'v8/heap/usage', '%'),
    'Used Heap Size': metric(mebibytes(heapUsed), 'v8/heap/used', 'MiB'),
    'Active requests': metric(count('_getActiveRequests'), 'libuv/requests'),
    'Active handles': metric(count('_getActiveHandles'), 'libuv/handles'),
    'Event Loop Latency': metric(delay(0.5), 'libuv/latency/p50', 'ms'),
    'Event Loop Latency p95': metric(delay(0.95), 'libuv/latency/p95', 'ms'),
  };
}

// Tells of an error in the words of npm pm2: with the line it comes from, and those around it.
function report(reason) {
  const { inspect, types } = require('util');
  let data;
  try {
    if (types.isNativeError(reason) || reason instanceof Error) data = describe(reason, inspect);
    else data = withoutPlace(`Non-error value: ${JSON.stringify(reason)}`);
  } catch {
    // Numbers and circles that JSON has no form for.
    try {
      data = withoutPlace(inspect(reason));
    } catch {
      data = withoutPlace(`Non-error value: ${typeof reason}`);
    }
  }
  say({ type: 'process:exception', data }, true);
}

function describe(error, inspect) {
  const data = { __proto__: null };
  for (const key of ['message', 'stack', 'name', ...Object.keys(error)]) {
    try {
      const value = error[key];
      if (value === undefined || typeof value === 'function') continue;
      if (key === 'stack') data.stack ??= String(value);
      else data[key] ??= /object|bigint/.test(typeof value) ? inspect(value) : value;
    } catch {
      // A getter that throws: the others count.
    }
  }
  data.stack ??= `${data.name}: ${data.message}`;
  return Object.assign(data, origin(data.stack.slice(0, 1e4)));
}

function withoutPlace(message) {
  return { message, stack: `Error: ${message}`, name: 'Error' };
}

// The first place that is the app's own.
function origin(stack) {
  const frame = /^ +at (?:async |.*\()?((?:file:\/\/)?\/(?!.*\/node_modules\/).*?):(\d+):\d+\)?$/m;
  const [, place, line] = frame.exec(stack) ?? [];
  if (!place) return {};
  let callsite;
  try {
    const file = place[0] === '/' ? place : require('url').fileURLToPath(place);
    callsite = `${file}:${line}`;
    const lines = require('fs').readFileSync(file, 'utf8').split('\n');
    const at = line - 1;
    lines[at] = lines[at].replace(/^ {2}/, '>>');
    return { context: lines.slice(Math.max(at - 5, 0), at + 6).join('\n'), callsite };
  } catch {
    return { callsite };
  }
}

// At a reload the daemon says so when the successor listens. Clients with an open connection must hear of it
// from a response, or from its end while nothing is under way: `server.close()` alone would cut requests off that
// have been sent already.
function drainWhenTold() {
  const { prototype } = require('net').Server;
  const { close, listen } = prototype;
  const known = new WeakSet();
  const servers = new Set();
  const sessions = new Set();
  let draining = false;
  prototype.listen = function (...args) {
    servers.add(this);
    // A server may close and listen again.
    if (!known.has(this)) {
      known.add(this);
      this.on('close', () => servers.delete(this));
      // HTTP/2 only. A session that began just now has to tell its client, too.
      this.on('session', (session) => {
        sessions.add(session);
        session.once('close', () => sessions.delete(session));
        if (draining) setImmediate(() => session.close());
      });
    }
    return listen.apply(this, args);
  };
  process.on('internalMessage', (message) => {
    if (message?.cmd !== 'NODE_PM2RS' || message.act !== 'drain' || draining) return;
    draining = true;
    let open = 1;
    const closed = () => {
      open -= 1;
      if (open === 0 && process.connected) process.send({ cmd: 'NODE_PM2RS', act: 'drained' });
    };
    const last = (request, response) => {
      response.shouldKeepAlive = false;
    };
    for (const server of [...servers].filter((server) => server.listening)) {
      open += 1;
      if ('keepAliveTimeout' in server && server.listenerCount('request') > 0) {
        server.prependListener('request', last);
        server.prependListener('checkContinue', last);
        // Those that are under way, which began without hearing of this.
        const list = Object.getOwnPropertySymbols(server).find(({ description }) => description === 'http.server.connections');
        for (const { socket } of server[list]?.all() ?? []) {
          const response = socket?._httpMessage;
          if (response && !response.headersSent) last(null, response);
        }
        // That of `net`: it leaves idle connections alone, whose next request may be on its way.
        close.call(server, closed);
        if (server.closeIdleConnections) setInterval(() => server.closeIdleConnections(), message.idle).unref();
      } else {
        server.close(closed);
      }
    }
    for (const session of sessions) session.close();
    closed();
  });
}

// An open channel costs 0.7 MB, and most apps never use theirs. Whoever looks at one of its four
// properties, or waits for a message, gets it opened by the very function that Node itself calls at
// start-up when NODE_CHANNEL_FD is set; what the daemon sent meanwhile lies in the socket.
function openOnFirstUse(fd) {
  const names = ['send', 'connected', 'disconnect', 'channel'];
  const getters = {};
  const open = () => {
    if (opened) return;
    opened = true;
    process.removeListener('newListener', onNewListener);
    process.removeListener('removeListener', onRemoveListener);
    const before = names.map((name) => [name, Object.getOwnPropertyDescriptor(process, name)]);
    for (const name of names) delete process[name];
    require('child_process')._forkChild(fd, 'json');
    sending = process.send;
    // What the app has deleted or replaced stays so.
    for (const [name, own] of before) {
      if (!own) delete process[name];
      else if (own.get !== getters[name]) Object.defineProperty(process, name, own);
    }
  };
  const onNewListener = (event, listener) => {
    if (event !== 'message' && event !== 'disconnect') return;
    const before = new Set(process.rawListeners('newListener'));
    open();
    // Node counts such listeners to keep the app alive; it came too late to hear of this one.
    for (const late of process.rawListeners('newListener')) {
      if (!before.has(late)) late.call(process, event, listener);
    }
  };
  // An app that clears all listeners would never be heard of again.
  const onRemoveListener = (event, listener) => {
    if (listener === onNewListener) open();
  };
  for (const name of names) {
    const get = () => {
      if (hidden) return undefined;
      open();
      return process[name];
    };
    getters[name] = get;
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get,
      set(value) {
        open();
        process[name] = value;
      },
    });
  }
  process.on('newListener', onNewListener);
  process.on('removeListener', onRemoveListener);
}
