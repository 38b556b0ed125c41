// The main job from end to end, in a home of its own: a script starts an app and exits, the app
// lives on and answers, a second look finds it in the list, and everything is cleaned up.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const home = await mkdtemp(path.join(tmpdir(), 'pm2-rs-example-'));
process.env.PM2_HOME = home;
process.env.PORT = String(await freePort());
const { default: pm2 } = await import('../index.js');

try {
  console.log(`$ node examples/start.js    (PM2_HOME=${home})`);
  await promisify(execFile)(process.execPath, ['start.js'], { cwd: here });
  console.log('The script has exited. The list:');
  await pm2.connect();
  const list = await pm2.list();
  console.table(
    list.map(({ pm_id, name, pid, pm2_env, monit }) => ({
      id: pm_id, name, mode: pm2_env.exec_mode, pid, status: pm2_env.status, memory: monit.memory,
    })),
  );
  if (list.length !== 4 || list.some(({ pm2_env }) => pm2_env.status !== 'online')) {
    throw new Error('expected four instances online');
  }
  const pids = new Set();
  for (let n = 0; n < 20; n++) pids.add(await ask());
  console.log(`The app answers on port ${process.env.PORT}, from ${pids.size} process(es): ${[...pids].join(', ')}`);
} finally {
  await pm2.killDaemon();
  await pm2.disconnect().catch(() => {}); // the connection ended with the daemon
  await rm(home, { recursive: true, force: true });
}
console.log('Stopped and cleaned up.');

async function ask() {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      const response = await fetch(`http://127.0.0.1:${process.env.PORT}/`, { headers: { connection: 'close' } });
      return (await response.text()).match(/\d+/)[0];
    } catch (error) {
      // Online means that the process runs; that it listens takes a moment more.
      if (error.cause?.code !== 'ECONNREFUSED' || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
