// Spellings that npm pm2 reads in app objects only.
export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start('alive.js', { name: 'app', max_memory_restart: '100M', max_restarts: 3, kill_timeout: 500, restart_delay: 50, out_file: 'own.log', args: ['x'] })
  await t.snapshot()
}
