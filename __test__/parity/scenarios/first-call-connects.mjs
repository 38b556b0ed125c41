// Nothing is running and nobody connected: the first call launches the daemon.
export async function run(pm2, t) {
  t.record('module', { instance: t.raw instanceof t.raw.custom, daemonMode: t.raw.daemon_mode, home: t.raw.pm2_home ?? null, cwd: t.raw.cwd })
  await pm2.list()
  await pm2.ping()
}
