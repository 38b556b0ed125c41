'use strict'

// What the API does with the process list by itself, through single remote methods.
// Behaviour of PM2 7.0.4, specification `api.md` §5.7, §5.12 and §7.

const fs = require('node:fs/promises')
const path = require('node:path')

/** Every process with its measurements, ascending `pm_id`. */
function list(link) {
  return link.call('getMonitorData', {})
}

/** Same name, or the script the text stands for seen from the current folder. */
function byNameOrScript(processes, name) {
  const script = path.resolve(name)
  return processes.filter(({ pm2_env: env }) => env.name === name || env.pm_exec_path === script)
}

/** Whether it can be an id: `'00'` and `' 0'` cannot, least of all that of the process 0. */
function isId(target) {
  return /^(0|[1-9]\d*)$/.test(String(target))
}

/** Whether PM2 takes it for an id. */
function isNumeric(target) {
  return !Number.isNaN(Number(target))
}

/** A number as it is shown: the `pm_id`. Other text: the name, or `all`. */
function forMaintenance(processes, target) {
  if (isId(target)) return processes.filter(({ pm_id: id }) => id === Number(target))
  return processes.filter(({ name }) => name === target)
}

/**
 * Empties log files, `pm2.log` too when no target is named.
 *
 * Only files that exist are emptied; `/dev/null` and the like are left alone. Unknown names empty nothing.
 */
async function flush(link, target, daemonLog) {
  const processes = await list(link)
  const everything = target === undefined || target === null
  const chosen = everything ? processes : forMaintenance(processes, target)
  const files = new Set(everything ? [daemonLog] : [])
  for (const { pm2_env: env } of chosen) {
    for (const file of [env.pm_out_log_path, env.pm_err_log_path, env.pm_log_path]) {
      if (typeof file === 'string' && file !== '/dev/null') files.add(file)
    }
  }
  await Promise.all([...files].map(empty))
  return processes
}

async function empty(file) {
  try {
    await fs.truncate(file, 0)
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
}

/** Sets the restart counters to 0. An unknown id is a success, an unknown name is not. */
async function reset(link, target) {
  const processes = await list(link)
  const chosen = target === 'all' ? processes : forMaintenance(processes, target)
  if (chosen.length === 0 && target !== 'all' && !isNumeric(target)) throw new Error('Unknown process name')
  for (const { pm_id: id } of chosen) await link.call('resetMetaProcessId', id)
  return { success: true }
}

/**
 * Brings the number of processes of that name to `count`, or changes it by `'+n'` or `'-n'`.
 * Grows by copying the oldest, shrinks by deleting the oldest.
 */
async function scale(link, name, count) {
  const step = /^([+-])(\d+)$/.exec(String(count))
  if (step === null && !/^\d+$/.test(String(count))) {
    throw new TypeError('the number of processes must be a whole number, "+n" or "-n"')
  }
  const ids = (await list(link)).filter((entry) => entry.name === name).map(({ pm_id: id }) => id)
  if (ids.length === 0) throw new Error('App not found')
  const change = step === null ? Number(count) - ids.length : Number(step[1] + step[2])
  if (change === 0) throw new Error('Same process number')
  for (let n_added = 0; n_added < change; n_added += 1) await link.call('duplicateProcessId', ids[0])
  for (const id of change < 0 ? ids.slice(0, -change) : []) {
    await link.call('stopWatch', 'deleteProcessId', id)
    await link.call('deleteProcessId', id)
  }
  return { success: true }
}

/** Sets or clears the mark that a process is monitored: by `pm_id`, by name, or of `all`. */
async function monitorState(link, state, target) {
  if (state !== 'monitor' && state !== 'unmonitor') throw new TypeError('the state must be "monitor" or "unmonitor"')
  if (target === undefined || target === null || target === '') throw new Error('argument missing')
  require('./requests').checkOne(target)
  if (isId(target)) return link.call(state, Number(target))
  if (isNumeric(target)) throw new Error('Unknown pm_id')
  const processes = await list(link)
  const chosen = target === 'all' ? processes : processes.filter(({ name }) => name === target)
  for (const { pm_id: id } of chosen) await link.call(state, id)
  return undefined
}

module.exports = { byNameOrScript, flush, isId, list, monitorState, reset, scale }
