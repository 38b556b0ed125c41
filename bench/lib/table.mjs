// Results as Markdown tables, aligned for the terminal.

import { CONDITIONS, conditions } from './rows.mjs'

const COLUMNS = [
  ['quantity', ({ label }) => label, 'left'],
  ['pm2', ({ pm2, unit }) => quantity(pm2, unit)],
  ['pm2-rs', ({ 'pm2-rs': value, unit }) => quantity(value, unit)],
  ['bare', ({ bare, unit }) => (bare === null ? '' : quantity(bare, unit))],
  ['ratio', ({ ratio }) => quotient(ratio)],
  ['to bare', ({ toBare }) => quotient(toBare)],
  ['target', ({ target, unit }) => describe(target, unit)],
  ['result', (row) => verdict(row), 'left'],
  ['pairs', ({ pairs }) => String(pairs)],
]

/** The table of judged rows. */
export function table(rows) {
  return format(COLUMNS, rows)
}

/** @param columns `[title, cell(row), 'left' or nothing]` */
export function format(columns, rows) {
  const head = columns.map(([title]) => title)
  const body = rows.map((row) => columns.map(([, cell]) => cell(row)))
  const widths = head.map((title, column) => Math.max(title.length, ...body.map((cells) => cells[column].length)))
  const line = (cells) => {
    const padded = cells.map((cell, column) =>
      columns[column][2] === 'left' ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
    )
    return `| ${padded.join(' | ')} |`
  }
  const rule = widths.map((width, column) => (columns[column][2] === 'left' ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...body.map(line)].join('\n')
}

/** Three significant digits or all before the point. */
export function quantity(value, unit) {
  if (value === null) return '–'
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${unit}`.trimEnd()
}

function quotient(ratio) {
  if (ratio === null) return ''
  return ratio > 0.5 || ratio === 0 ? ratio.toFixed(2) : `1/${(1 / ratio).toFixed(1)}`
}

function describe(target, unit) {
  return conditions(target)
    .map(([kind, number]) => CONDITIONS[kind].text(number, unit).trimEnd())
    .join(', ')
}

function verdict({ met, target }) {
  if (target === null) return ''
  if (met === null) return 'no value'
  if (target.informational) return met ? 'met' : 'missed'
  return met ? 'pass' : 'FAIL'
}
