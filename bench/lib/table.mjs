// The result as a Markdown table, aligned for the terminal.

const COLUMNS = [
  ['quantity', ({ label }) => label, 'left'],
  ['pm2', ({ pm2, unit }) => quantity(pm2, unit)],
  ['pm2-rs', ({ 'pm2-rs': value, unit }) => quantity(value, unit)],
  ['bare', ({ bare, unit }) => (bare === null ? '' : quantity(bare, unit))],
  ['ratio', ({ ratio }) => (ratio === null ? '' : ratio > 0.5 ? ratio.toFixed(2) : `1/${(1 / ratio).toFixed(1)}`)],
  ['target', ({ target, unit }) => describe(target, unit)],
  ['result', (row) => verdict(row), 'left'],
  ['rounds', ({ rounds }) => String(rounds)],
]

export function table(rows) {
  const head = COLUMNS.map(([title]) => title)
  const body = rows.map((row) => COLUMNS.map(([, cell]) => cell(row)))
  const widths = head.map((title, column) => Math.max(title.length, ...body.map((cells) => cells[column].length)))
  const line = (cells) => {
    const padded = cells.map((cell, column) =>
      COLUMNS[column][2] === 'left' ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
    )
    return `| ${padded.join(' | ')} |`
  }
  const rule = widths.map((width, column) => (COLUMNS[column][2] === 'left' ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...body.map(line)].join('\n')
}

function quantity(value, unit) {
  if (value === null) return '–'
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${unit}`
}

function describe(target, unit) {
  if (target === null) return ''
  if (target.ratio !== undefined) return `≤ 1/${target.ratio}`
  if (target.atMost !== undefined) return `≤ ${target.atMost} ${unit}`
  return `≤ bare + ${target.overBare} ${unit}`
}

function verdict({ met, target }) {
  if (target === null) return ''
  if (met === null) return 'no value'
  if (target.informational) return met ? 'met' : 'missed'
  return met ? 'pass' : 'FAIL'
}
