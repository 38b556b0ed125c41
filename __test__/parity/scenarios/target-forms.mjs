// Name, namespace, id, id as text, regular expression, script path, all.
export async function run(pm2, t) {
  await pm2.connect()
  await t.quiet.start({ name: 'web', script: 'alive.js', namespace: 'front' })
  await t.quiet.start({ name: 'api', script: 'other.js', namespace: 'back' })
  await t.quiet.start({ name: 'api-jobs', script: 'other.js', namespace: 'back' })
  const again = async (title) => {
    await t.summary(`after ${title}`)
    await t.quiet.restart('all')
  }
  const id = async (name) => (await t.proc(name)).pm_id
  await pm2.with({ as: 'stop name' }).stop('api')
  await again('stop name')
  await pm2.with({ as: 'stop namespace' }).stop('back')
  await again('stop namespace')
  await pm2.with({ as: 'stop id' }).stop(await id('web'))
  await again('stop id')
  await pm2.with({ as: 'stop id text' }).stop(String(await id('web')))
  await again('stop id text')
  await pm2.with({ as: 'stop regex' }).stop('/^api/')
  await again('stop regex')
  await pm2.with({ as: 'stop path' }).stop('./other.js')
  await again('stop path')
  await pm2.with({ as: 'stop all' }).stop('all')
  await t.summary('after stop all')
  await pm2.with({ as: 'delete regex' }).delete('/jobs/')
  await pm2.with({ as: 'delete namespace' }).delete('front')
  await pm2.with({ as: 'delete all' }).delete('all')
  await pm2.list()
}
