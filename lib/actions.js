'use strict'

// Actions that apps offer, and what they answer.
// Behaviour of PM2 7.0.4, specification `api.md` §5.12.

const path = require('node:path')
const { Bus } = require('./bus')
const { connectionLost } = require('./errors')
const { isId, list } = require('./processes')

/**
 * Has processes carry out an action that they offer, and waits for what each of them answers, however long that takes.
 *
 * @param target `pm_id`, name, namespace, file name of the script, or `all`
 * @param params what the action gets, if anything
 * @returns packets `{at, process, data: {at, action_name, return}}`
 */
async function trigger(link, target, action, params) {
  const { pub_socket_file: address } = await link.open()
  const bus = new Bus(address)
  try {
    await bus.opened()
    const meant = new Set((await list(link)).filter((entry) => isMeant(entry, target, action)).map(({ pm_id: id }) => id))
    const replies = new Map()
    // A process that has ended will not answer.
    const ended = new Set()
    const changed = listen(bus, ({ topic, packet }) => {
      const id = packet.process.pm_id
      if (replies.has(id)) return
      if (topic === 'axm:reply') {
        if (packet.data.action_name === action && mayAnswer(packet.process, target, meant)) replies.set(id, packet)
      } else if (meant.has(id)) ended.add(id)
    })
    const opts = params === undefined || params === null ? {} : { opts: params }
    const whom = isId(target) ? { id: target } : { name: String(target) }
    const { process_count: n_told } = await link.call('msgProcess', { msg: action, ...opts, ...whom })
    if (n_told === 0) throw new Error('Unknown process')
    while (replies.size + ended.size < n_told) await changed()
    if (replies.size === 0) throw new Error('the process has ended before it answered')
    return [...replies.values()]
  } finally {
    bus.close()
  }
}

function isMeant({ name, pm_id: id, pm2_env: env }, target, action) {
  if (!env.axm_actions?.some(({ action_name: offered }) => offered === action)) return false
  if (isId(target)) return id === Number(target)
  return target === 'all' || [name, env.namespace, path.basename(String(env.pm_exec_path))].includes(target)
}

/** Others may be doing the same for somebody else. */
function mayAnswer({ name, pm_id: id, namespace }, target, meant) {
  if (isId(target)) return id === Number(target)
  // One that has come since is told, too.
  return meant.has(id) || target === 'all' || [name, namespace].includes(target)
}

/** @returns a function whose promise fulfils with the next packet and rejects when the daemon goes away */
function listen(bus, take) {
  let settle = () => {}
  let isLost = false
  const hear = (topic) => (packet) => {
    if (topic === 'process:event' && packet.event !== 'exit') return
    take({ topic, packet })
    settle()
  }
  for (const topic of ['axm:reply', 'process:event']) bus.on(topic, hear(topic))
  bus.sock.on('close', () => {
    isLost = true
    settle()
  })
  return async () => {
    if (!isLost) {
      await new Promise((resolve) => {
        settle = resolve
      })
    }
    if (isLost) throw connectionLost()
  }
}

module.exports = { trigger }
