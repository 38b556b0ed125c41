// Memory of a process, as the kernel sums it up in smaps_rollup. Everything in MiB.

import { readFileSync } from 'node:fs'
import { pause } from './api.mjs'
import { median } from './statistics.mjs'

/** Resident memory, shared pages included. */
export function resident(pid) {
  return sum(pid, ['Rss'])
}

/** Memory that would be free again if the process ended: pages that no other process maps. */
export function unique(pid) {
  return sum(pid, ['Private_Clean', 'Private_Dirty'])
}

/** Median of a few looks at a process that has come to rest. */
export async function settled(look, { after = 2000, samples = 5, every = 200 } = {}) {
  await pause(after)
  const values = []
  for (let sample = 0; sample < samples; sample += 1) {
    values.push(look())
    await pause(every)
  }
  return median(values)
}

function sum(pid, names) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return names.reduce((total, name) => total + Number(text.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))[1]), 0) / 1024
}
