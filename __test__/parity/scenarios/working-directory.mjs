export async function run(pm2, t) {
  await pm2.connect()
  await pm2.start({ name: 'relative', script: 'where.js', cwd: 'sub' })
  await pm2.start({ name: 'absolute', script: 'where.js', cwd: t.cwd('sub') })
  await pm2.start({ name: 'path', script: 'sub/where.js' })
  for (const name of ['relative', 'absolute', 'path']) {
    await t.contains(`logs/${name}-out.log`, 'cwd')
    t.file(`logs/${name}-out.log`)
  }
  await t.snapshot()
}
