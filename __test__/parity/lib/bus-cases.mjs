// Everything that the bus says, app by app, in its order.
import { shell } from './policy-cases.mjs'

/** A Node app of the fixtures; each of its ends counts as unstable, however slow the machine is. */
export const node = (name, script, ...args) => ({
  name,
  script,
  args: args.map((arg) => (typeof arg === 'string' ? arg : JSON.stringify(arg))),
  min_uptime: 60_000,
})
/** It sends these messages when it starts, one after the other, and goes on. */
export const speaker = (name, messages, options) => ({ ...node(name, 'say.js', messages), ...options })

/**
 * Follows the bus; call it first, as it needs an empty list.
 * @param without  what is not recorded of processes
 * @returns `{packets, of, logs, record}`
 */
export async function followAll(t, { without = [] } = {}) {
  const { result: bus } = await t.quiet.launchBus()
  const packets = []
  bus.on('*', (topic, packet) => {
    // The agent library of npm pm2 lists its own dependencies.
    if (topic !== 'application:dependencies') packets.push({ topic, packet })
  })
  await t.quiet.start(shell('bus', 'exec sleep 300'))
  // A subscription has no answer: it holds as soon as an event arrives.
  const fence = async (mark) => {
    await t.until(`the bus says ${mark}`, async () => {
      await t.quiet.client.executeRemote('notifyByProcessId', { id: 0, action_name: mark, manually: true })
      return packets.some(({ topic, packet }) => topic === 'process:event' && packet.event === mark)
    })
  }
  await fence('subscribed')

  /** Packets about an app, logs aside. */
  const of = (name) => packets.filter(({ topic, packet }) => packet.process?.name === name && !topic.startsWith('log:'))
  return {
    bus,
    packets,
    of,
    /** Starts an app; a refusal fails the scenario. */
    async start(...args) {
      const { error } = await t.quiet.start(...args)
      if (error) throw new Error(String(error.message ?? error[0]?.message ?? error))
    },
    count: (name, topic, event) => of(name).filter((seen) => seen.topic === topic && (event === undefined || seen.packet.event === event)).length,
    /** What an app has written, as far as the bus tells. */
    logs: (name, topic = 'log:out') =>
      packets.filter((seen) => seen.topic === topic && seen.packet.process.name === name).map(({ packet }) => packet.data).join(''),
    /** Records what was said of each of these apps, once nothing more comes. */
    async record(...names) {
      const all = () => names.map((name) => of(name).length).join()
      for (let before = ''; before !== all(); ) {
        before = all()
        await t.sleep(300)
      }
      for (const name of names) t.record(`bus of ${name}`, of(name).map((packet) => seen(packet, without)))
    },
    /** Records the text of an app's streams and the form of its first packet of each. */
    recordLogs(name) {
      for (const topic of ['log:out', 'log:err']) {
        const first = packets.find((seen) => seen.topic === topic && seen.packet.process.name === name)
        if (!first) continue
        t.record(`${topic} of ${name}`, { keys: Object.keys(first.packet).sort(), process: first.packet.process, text: this.logs(name, topic) })
      }
    },
  }
}

/** Records one app's whole life: what the bus tells of it and its lines. */
export async function recordLife(t, app) {
  const bus = await followAll(t)
  await bus.start(app)
  await t.online(app.name)
  await t.until('the line is on the bus', () => bus.logs(app.name) === 'alive\n')
  await t.quiet.restart(app.name)
  await t.until('twice', () => bus.logs(app.name) === 'alive\n'.repeat(2))
  await t.quiet.reload(app.name)
  await t.until('thrice', () => bus.logs(app.name) === 'alive\n'.repeat(3))
  await t.quiet.stop(app.name)
  await t.quiet.stop(app.name)
  await bus.start(app.name)
  await t.until('once more', () => bus.logs(app.name) === 'alive\n'.repeat(4))
  await t.quiet.delete(app.name)
  await bus.record(app.name)
  bus.recordLogs(app.name)
}

/** A packet without what no two runs have in common; the order of its keys counts. */
export function seen({ topic, packet }, without) {
  const keys = Object.keys(packet).join()
  if (topic === 'process:event') return { topic, keys, ...about(packet, without) }
  if (topic === 'process:exception') return { topic, keys, process: packet.process, data: problem(packet.data) }
  if (topic === 'axm:reply') return { topic, keys, process: packet.process, data: { ...packet.data, at: typeof packet.data.at } }
  const { at, ...rest } = packet
  return { topic, keys, at: typeof at, ...rest }
}

function about({ event, manually, process: app }, without) {
  const { pm_id, status, restart_time: restarts, unstable_restarts: unstable, exit_code: code, prev_restart_delay: delay } = app
  const process = { pm_id, status, restarts, unstable, code: code ?? 'none', delay: delay ?? 'none', env: 'env' in app }
  for (const field of without) delete process[field]
  return { event, manually, process }
}

function problem({ stack, ...data }) {
  return { ...data, stack: typeof stack === 'string' ? stack.split('\n')[0] : stack }
}
