// A script with blanks is a command line for the shell.
export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start('echo from a shell; exec sleep 300')
  await t.until('the line is in the log', async () => {
    const [proc] = await t.all()
    return proc && (t.read(proc.pm2_env.pm_out_log_path) ?? '').includes('from a shell')
  })
  await t.snapshot()
  await pm2.with({ as: 'start command in object' }).start({ name: 'named', script: './binary.sh one two', autorestart: false })
  await t.contains('logs/named-out.log', 'direct 2 one two')
  await t.summary('list', 'pm_exec_path', 'exec_interpreter', 'args')
}
