// Unmodified apps of the usual frameworks in cluster mode.
import test from 'ava'
import { freePort } from './cluster/clients.mjs'
import { fixture, makeHome } from './helpers/home.mjs'
import { ask, startLoad } from './helpers/load.mjs'
import { waitFor } from './helpers/wait.mjs'

for (const framework of ['express', 'fastify', 'koa']) {
  test.serial(`four workers of ${framework} all answer, are reloaded without a loss, and scaled`, async (t) => {
    const { pm2 } = await makeHome(t)
    const port = await freePort()
    const pids = async () => (await pm2.list()).map(({ pid }) => pid)
    await pm2.start({ name: 'app', script: fixture(`servers/${framework}.js`), instances: 4, env: { PORT: port } })
    await waitFor(() => ask(port, '/is/up').catch(() => false))
    const before = await pids()
    t.is(new Set(before).size, 4)

    const load = startLoad(t, port)
    await load.servedBy(before)
    t.is((await pm2.reload('app')).length, 4)
    const after = await pids()
    t.is(new Set([...before, ...after]).size, 8)
    await load.servedBy(after)

    await pm2.scale('app', '+2')
    const six = await pids()
    t.is(new Set(six).size, 6)
    await load.servedBy(six)
    t.deepEqual(await load.end(), [])

    await pm2.scale('app', 2)
    const two = await pids()
    t.is(new Set(two).size, 2)
    const fewer = startLoad(t, port)
    await fewer.servedBy(two)
    t.deepEqual(await fewer.end(), [])

    await pm2.stop('app')
    await t.throwsAsync(ask(port, '/is/down'), { code: 'ECONNREFUSED' })
  })
}
