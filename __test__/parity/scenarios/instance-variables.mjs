export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'app', script: 'alive.js', instances: 2, exec_mode: 'fork', instance_var: 'WORKER', increment_var: 'PORT', env: { PORT: 4000 } })
  await t.summary('list', 'WORKER', 'NODE_APP_INSTANCE', 'PORT', 'instance_var', 'increment_var')
  const [first, second] = await t.all()
  const seen = ({ pid }) => { const { WORKER, PORT, NODE_APP_INSTANCE } = t.environment(pid); return { WORKER, PORT, NODE_APP_INSTANCE } }
  t.record('environments', [seen(first), seen(second)])
}
