'use strict';
// Preloaded into every managed Node app (unless `pmx` is false), before the app's own code.
// It leaves no trace: neither in process.execArgv, which child processes inherit, nor in require.cache.

const { execArgv } = process;
const at = execArgv.findIndex((word, i) => word === '--require' && execArgv[i + 1] === __filename);
if (at >= 0) execArgv.splice(at, 2);
delete require.cache[__filename];

if (process.send && require('worker_threads').isMainThread) {
  process.send({ node_version: process.versions.node });

  // As under PM2, an unhandled rejection is reported and the app goes on;
  // `unhandled_rejections: "strict"` keeps Node's own rule.
  if (process.env.unhandled_rejections !== 'strict') {
    process.on('unhandledRejection', (reason) => {
      console.error(reason);
      if (process.connected) process.send({ type: 'process:exception', data: describe(reason) });
    });
  }
}

function describe(reason) {
  if (!(reason instanceof Error)) return { message: String(reason) };
  const { name, message, stack } = reason;
  return { ...reason, name, message, stack };
}
