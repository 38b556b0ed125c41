export async function run(pm2, t) {
  await pm2.connect()
  const app = (more) => ({ name: 'app', script: 'alive.js', ...more })
  const cases = {
    'number as text with unit': { kill_timeout: '1s' },
    'size with bad unit': { max_memory_restart: '100MB' },
    'time with bad unit': { min_uptime: '1d' },
    'time too small': { min_uptime: 10 },
    'boolean as text': { autorestart: 'true' },
    'unknown mode': { exec_mode: 'threads' },
    'name is a number': { name: 5 },
    'cron pattern': { cron_restart: 'every day' },
    'two at once': { kill_timeout: 'x', autorestart: 'no' },
    'exit codes as text': { stop_exit_codes: '42,43' },
  }
  for (const [title, more] of Object.entries(cases)) await pm2.with({ as: title }).start(app(more))
  await pm2.with({ as: 'script form' }).start('alive.js', { killTimeout: 'x' })
  await pm2.with({ as: 'one bad of two' }).start([app(), app({ name: 'other', kill_timeout: 'x' })])
  await pm2.list()
}
