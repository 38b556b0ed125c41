// Children and grandchildren go with the app, unless treekill is off.
export async function run(pm2, t) {
  await pm2.connect()
  const family = async (name) => {
    await t.contains(`logs/${name}-out.log`, ' end')
    return /family (\d+) (\d+) end/.exec(t.read(`logs/${name}-out.log`)).slice(1).map(Number)
  }
  await t.quiet.start({ name: 'tree', script: 'parent.js' })
  const tree = await family('tree')
  await pm2.with({ as: 'stop tree' }).stop('tree')
  await t.until('descendants are gone', () => tree.every((pid) => !t.alive(pid)))
  await t.quiet.start({ name: 'alone', script: 'parent.js', args: 'leave', treekill: false })
  const alone = await family('alone')
  await pm2.with({ as: 'stop alone' }).stop('alone')
  t.record('survivors without treekill', alone.map((pid) => t.alive(pid)))
  for (const pid of alone) process.kill(pid, 'SIGKILL')
  await t.snapshot()
}
