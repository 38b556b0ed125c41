'use strict';
// Preloaded into every managed Node app (unless `pmx` is false), before the app's own code.
// It leaves no trace: neither in process.execArgv, which child processes inherit, nor in the
// environment, nor in require.cache. Every line here costs every app memory and start-up time.

const { execArgv, env } = process;
const at = execArgv.findIndex((word, i) => word === '--require' && execArgv[i + 1] === __filename);
if (at >= 0) execArgv.splice(at, 2);
delete require.cache[__filename];

const channel = Number(env.PM2_RS_CHANNEL_FD);
delete env.PM2_RS_CHANNEL_FD;

let opened = false;

// Worker threads load this file too; there `process.chdir` is a function that only throws.
if (!process.chdir.disabled && (channel || process.send)) {
  const hello = { node_version: process.versions.node };
  if (process.send) {
    // A cluster worker: Node has opened the channel before this file was loaded.
    process.send(hello);
    drainWhenTold();
  } else {
    const { writeSync } = require('fs');
    writeSync(channel, `${JSON.stringify(hello)}\n`);
    openOnFirstUse(channel);
    // That there is nothing left to do is no crash, however soon; not so `process.exit()`.
    process.once('beforeExit', () => {
      const done = { cmd: 'NODE_PM2RS', act: 'done' };
      if (!opened) writeSync(channel, `${JSON.stringify(done)}\n`);
      else if (process.connected) process.send(done);
    });
  }

  waitForWrites('stdout');
  waitForWrites('stderr');

  // As under PM2, an unhandled rejection is reported and the app goes on;
  // `unhandled_rejections: "strict"` keeps Node's own rule.
  if (env.unhandled_rejections !== 'strict') {
    process.on('unhandledRejection', (reason) => {
      console.error(reason);
      if (process.connected) process.send({ type: 'process:exception', data: describe(reason) });
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
      const stream = process[name];
      if (stream?._type === 'pipe') stream._handle?.setBlocking?.(true);
      return stream;
    },
  });
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
  const open = () => {
    opened = true;
    process.removeListener('newListener', onNewListener);
    for (const name of names) delete process[name];
    require('child_process')._forkChild(fd, 'json');
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
  for (const name of names) {
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get() {
        open();
        return process[name];
      },
      set(value) {
        open();
        process[name] = value;
      },
    });
  }
  process.on('newListener', onNewListener);
}

function describe(reason) {
  if (!(reason instanceof Error)) return { message: String(reason) };
  const { name, message, stack } = reason;
  return { ...reason, name, message, stack };
}
