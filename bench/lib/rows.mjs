// Rows of the table: what a measurement says about them, and how the samples are judged.
//
// A measurement describes a row as `{key, label, unit, bare?, target?}`. `bare` is the key of the same quantity
// without a process manager. `target` is one of
//   {ratio: n}     median of pm2-rs at most 1/n of pm2's
//   {atMost: x}    median of pm2-rs at most x
//   {overBare: x}  median of pm2-rs at most x above bare
// With `informational: true` beside it a miss is shown and does not fail the run.

import { median } from './statistics.mjs'

/** @param samples `{pm2: [{key: number}], 'pm2-rs': […]}` */
export function judge(measurement, row, samples) {
  const of = (side, key) => samples[side].map((sample) => sample[key]).filter((value) => value !== undefined)
  const [left, right] = [of('pm2', row.key), of('pm2-rs', row.key)]
  const bare = row.bare === undefined ? [] : [...of('pm2', row.bare), ...of('pm2-rs', row.bare)]
  const judged = {
    measurement,
    key: row.key,
    label: row.label,
    unit: row.unit,
    pm2: middle(left),
    'pm2-rs': middle(right),
    bare: middle(bare),
    rounds: Math.min(left.length, right.length),
    target: row.target ?? null,
    samples: { pm2: left, 'pm2-rs': right, bare },
  }
  judged.ratio = judged.pm2 === null || judged['pm2-rs'] === null ? null : judged['pm2-rs'] / judged.pm2
  const met = meets(judged)
  // null: nothing to judge, or for information only.
  return { ...judged, met, passed: row.target?.informational ? null : met }
}

function meets({ target, ratio, bare, 'pm2-rs': value }) {
  if (target === null || value === null) return null
  if (target.ratio !== undefined) return ratio === null ? null : ratio <= 1 / target.ratio
  if (target.atMost !== undefined) return value <= target.atMost
  return bare === null ? null : value <= bare + target.overBare
}

function middle(values) {
  return values.length === 0 ? null : median(values)
}
