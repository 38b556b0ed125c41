// What a result depends on besides the code.

import { readFileSync } from 'node:fs'
import { availableParallelism, release } from 'node:os'

export const machine = { node: process.version, cpus: availableParallelism(), kernel: release(), autogroup: autogroup() }

export function describeMachine() {
  const { node, cpus } = machine
  return `node ${node}, ${cpus} cores, autogroup ${machine.autogroup ? 'on' : 'off'}`
}

/**
 * Whether the scheduler shares the processors out by session. PM2's daemon is one with all its workers, each app of
 * pm2-rs has its own, and where anything else is running that is worth more than anything a program does.
 */
function autogroup() {
  try {
    return readFileSync('/proc/sys/kernel/sched_autogroup_enabled', 'latin1').trim() === '1'
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    return false
  }
}
