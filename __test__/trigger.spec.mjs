// Actions that apps offer.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { fixture, makeHome } from './helpers/home.mjs'
import { waitFor } from './helpers/wait.mjs'

async function offering(t, options) {
  const { pm2, folder, daemonPid } = await makeHome(t)
  await pm2.start(fixture('offer-actions.js'), { name: 'app', ...options })
  await waitFor(async () => (await pm2.list()).every(({ pm2_env }) => pm2_env.axm_actions.length === 3))
  return { pm2, folder, daemonPid }
}

for (const execMode of ['fork', 'cluster']) {
  test(`an action is carried out and answered in ${execMode} mode`, async (t) => {
    const { pm2 } = await offering(t, { execMode, instances: 2, autorestart: false })
    const [reply, ...others] = await pm2.trigger(1, 'hello', { a: [1] })
    t.deepEqual([others, reply.process.pm_id, reply.process.name], [[], 1, 'app'])
    t.deepEqual(reply.data.return, { opts: { a: [1] }, instance: '1' })
    for (const target of ['app', 'all', 'default', 'offer-actions.js']) {
      const replies = await pm2.trigger(target, 'hello')
      t.deepEqual(replies.map(({ process }) => process.pm_id).sort(), [0, 1], target)
    }
    await t.throwsAsync(pm2.trigger(0, 'nothing'), { message: "Action doesn't exist nothing for app" })
    await t.throwsAsync(pm2.trigger('app', 'nothing'), { message: 'Unknown process' })
    await t.throwsAsync(pm2.trigger(99, 'hello'), { message: '99 id unknown' })
    await t.throwsAsync(pm2.msgProcess({ msg: 'hello' }), { message: 'method requires name or id field' })
    t.deepEqual(await pm2.msgProcess({ name: 'app', msg: 'quiet' }), { process_count: 2, success: true })
    await t.throwsAsync(pm2.trigger('app', 'end'), { message: 'the process has ended before it answered' })
  })
}

test('an answer that another app gives to somebody else is not taken for ours', async (t) => {
  const { pm2, folder } = await offering(t)
  await pm2.start(fixture('offer-actions.js'), { name: 'other' })
  await waitFor(async () => (await pm2.list()).every(({ pm2_env }) => pm2_env.axm_actions.length === 3))
  const ours = pm2.trigger('app', 'quiet')
  await waitFor(async () => (await readFile(path.join(folder, 'logs/app-out.log'), 'utf8')).includes('quiet\n'))
  const [theirs] = await pm2.trigger('other', 'quiet', 'theirs')
  t.deepEqual([theirs.process.name, theirs.data.return], ['other', 'theirs'])
  await pm2.msgProcess({ id: 0, msg: 'quiet', opts: 'ours' })
  const [reply, ...others] = await ours
  t.deepEqual([reply.process.name, reply.data.return, others], ['app', 'ours', []])
})

test('a daemon that goes away fails a trigger that waits', async (t) => {
  const { pm2, folder, daemonPid } = await offering(t)
  const failed = t.throwsAsync(pm2.trigger('app', 'quiet'), { code: 'PM2_CONNECTION_LOST' })
  await waitFor(async () => (await readFile(path.join(folder, 'logs/app-out.log'), 'utf8')).includes('quiet\n'))
  process.kill(await daemonPid(), 'SIGKILL')
  await failed
})
