// Rows of the table: what a measurement says about them, and how the samples are judged.
//
// A measurement describes a row as `{key, label, unit, bare?, target?}`. `bare` is the key of the same quantity
// without a process manager, where it is not a side of its own. `target` has one or more of
//   ratio: n      pm2-rs at most 1/n of pm2
//   times: n      pm2-rs at least n times pm2
//   timesBare: n  pm2-rs at least n times bare
//   atMost: x     median of pm2-rs at most x
//   atLeast: x    median of pm2-rs at least x
//   overBare: x   median of pm2-rs at most x above bare
// and all of them must hold. With `informational: true` beside them a miss is shown and does not fail the run.
//
// Ratios are taken round by round, between samples that are neighbours in time, and their median counts.

import { median } from './statistics.mjs'

/** What each kind of target means; `holds` answers null where there is nothing to judge. */
export const CONDITIONS = {
  ratio: { text: (n) => `≤ 1/${n}`, holds: (n, { ratio }) => compared(ratio, (value) => value <= 1 / n) },
  times: { text: (n) => `≥ ${n} × pm2`, holds: (n, { ratio }) => compared(ratio, (value) => value >= n) },
  timesBare: { text: (n) => `≥ ${n} × bare`, holds: (n, { toBare }) => compared(toBare, (value) => value >= n) },
  atMost: { text: (x, unit) => `≤ ${x} ${unit}`, holds: (x, row) => compared(row['pm2-rs'], (value) => value <= x) },
  atLeast: { text: (x, unit) => `≥ ${x} ${unit}`, holds: (x, row) => compared(row['pm2-rs'], (value) => value >= x) },
  overBare: {
    text: (x, unit) => `≤ bare + ${x} ${unit}`,
    holds: (x, row) => (row.bare === null ? null : compared(row['pm2-rs'], (value) => value <= row.bare + x)),
  },
}

/** @param samples `{pm2: [{key: number}], 'pm2-rs': […], bare?: […]}`, by round; empty objects for failures */
export function judge(measurement, row, samples) {
  const of = (side, key) => (samples[side] ?? []).map((sample) => sample[key])
  const [left, right] = [of('pm2', row.key), of('pm2-rs', row.key)]
  const besides = row.bare === undefined ? of('bare', row.key) : of('pm2-rs', row.bare)
  const bare = row.bare === undefined ? besides : [...of('pm2', row.bare), ...besides]
  const judged = {
    measurement,
    key: row.key,
    label: row.label,
    unit: row.unit,
    pm2: middle(left),
    'pm2-rs': middle(right),
    bare: middle(bare),
    ratio: middle(quotients(right, left)),
    toBare: middle(quotients(right, besides)),
    pairs: Math.min(left.filter(isThere).length, right.filter(isThere).length),
    target: row.target ?? null,
    samples: { pm2: left.filter(isThere), 'pm2-rs': right.filter(isThere), bare: bare.filter(isThere) },
  }
  const met = meets(judged)
  // null: nothing to judge, or for information only.
  return { ...judged, met, passed: row.target?.informational ? null : met }
}

/** The conditions of a target, as `[kind, number]`. */
export function conditions(target) {
  return Object.entries(target ?? {}).filter(([kind]) => kind in CONDITIONS)
}

function meets(row) {
  const results = conditions(row.target).map(([kind, number]) => CONDITIONS[kind].holds(number, row))
  if (results.includes(false)) return false
  return results.length === 0 || results.includes(null) ? null : true
}

function compared(value, holds) {
  return value === null ? null : holds(value)
}

function quotients(dividends, divisors) {
  return dividends.map((dividend, round) =>
    isThere(dividend) && isThere(divisors[round]) ? dividend / divisors[round] : undefined,
  )
}

function middle(values) {
  const there = values.filter(isThere)
  return there.length === 0 ? null : median(there)
}

function isThere(value) {
  return value !== undefined
}
