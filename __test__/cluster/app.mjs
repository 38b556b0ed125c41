// An app in cluster mode, for each Node under test and each way to deal connections out.

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { fixture, makeHome } from '../helpers/home.mjs'
import { nodes } from '../helpers/nodes.mjs'
import { waitFor } from '../helpers/wait.mjs'

/** Policies under which the daemon deals connections out itself, and so evenly. */
export const dealing = ['hybrid', 'rr']
export const policies = [...dealing, 'shared']
/** `direct` is `hybrid` as it is at high rates: the kernel gives connections to the workers. */
export const withDirect = [...policies, 'direct']

/**
 * Declares a test per Node and policy.
 *
 * @param body gets the test and `{policy, node, start}`; `start` is `startApp` with that Node and policy
 */
export function each(title, chosen, body) {
  for (const node of nodes) {
    for (const policy of chosen) {
      test.serial(`${title} (${policy}, Node ${node.version})`, async (t) => {
        t.timeout(20_000)
        const start = (script, options) => startApp(t, script, { interpreter: node.path, policy, ...options })
        await body(t, { policy, node, start })
      })
    }
  }
}

/**
 * Starts a script of `fixtures/cluster`, by default twice.
 *
 * @param options what `start` takes, and `home` for one that is there already, `listen` for the variable LISTEN,
 *   `said`: after how many facts it is up, default one per instance, `daemon`: variables of the daemon
 */
async function startApp(t, script, { policy, home, daemon = {}, listen, said, env, ...options }) {
  home ??= await makeHome(t)
  const { folder, pm2, daemonPid } = home
  const variables = policy === 'direct' ? { PM2_RS_CLUSTER_DIRECT_ABOVE: '0' } : daemon
  if ((await daemonPid()) === null) await launch(pm2, variables)
  const app = {
    name: 'app',
    script: fixture(`cluster/${script}`),
    exec_mode: 'cluster',
    instances: 2,
    merge_logs: true,
    scheduling_policy: policy === 'direct' ? 'hybrid' : policy,
    ...options
  }
  const { name } = app
  const log = (stream) => readFile(path.join(folder, 'logs', `${name}-${stream}.log`), 'utf8').catch(() => '')

  /** Everything the workers have reported so far. */
  async function facts() {
    const lines = (await log('out')).split('\n')
    // The last one is not complete, or empty.
    return lines.slice(0, -1).map((line) => JSON.parse(line))
  }

  /** Waits until so many facts match. @returns these */
  async function until(count, match = () => true) {
    const matching = async () => (await facts()).filter(match)
    try {
      return await waitFor(async () => {
        const found = await matching()
        return found.length >= count && found
      })
    } catch {
      throw new Error(`${count} facts ${match}: ${JSON.stringify(await facts())}\n${await log('error')}`)
    }
  }

  /** Of each instance, in the order of their numbers. */
  const workers = async () => (await pm2.list()).filter((process) => process.name === name)
  const pids = async () => (await workers()).map(({ pid }) => pid)

  /** Sends a message to one instance. */
  const tell = async (instance, topic, data) => {
    const { pm_id: id } = (await workers())[instance]
    return pm2.sendDataToProcessId(id, { topic, data })
  }

  await pm2.start({ ...app, env: { ...env, ...(listen && { LISTEN: JSON.stringify(listen) }) } })
  await until(said ?? app.instances)
  return { home, folder, pm2, daemonPid, name, log, facts, until, workers, pids, tell }
}

/** Starts a daemon with variables of its own. It is a child of whoever launches it, which ought to live on to reap it. */
async function launch(pm2, variables) {
  Object.assign(process.env, variables)
  try {
    await pm2.connect()
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name]
  }
}
