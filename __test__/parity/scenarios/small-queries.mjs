// ping, version, process ids.
export async function run(pm2, t) {
  await pm2.connect()
  await pm2.ping()
  await pm2.getVersion()
  await t.quiet.start({ name: 'app', script: 'alive.js', instances: 2, exec_mode: 'fork' })
  await t.quiet.start({ name: 'other', script: 'other.js' })
  await t.quiet.stop('other')
  await pm2.getProcessIdByName('app')
  await pm2.with({ as: 'getProcessIdByName unknown' }).getProcessIdByName('nope')
  const pids = async (title, ...args) => {
    const { error, result } = await t.quiet.getPID(...args)
    t.record(title, { error: error === null ? null : String(error), pids: result?.map((pid) => (pid > 0 ? (t.alive(pid) ? 'alive' : 'dead') : pid)) })
  }
  await pids('getPID name', 'app')
  await pids('getPID stopped', 'other')
  await pids('getPID unknown', 'nope')
  await pids('getPID')
}
