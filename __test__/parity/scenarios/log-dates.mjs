import fs from 'node:fs'

// Every token of day.js, and what is none. Digits tell nothing: the sides run one after the other.
const formats = [
  'YY YYYY Y YYY YYYYY YYYYYY',
  'M MM MMM MMMM MMMMM',
  'D DD d dd ddd dddd ddddd',
  'H HH h hh a A HHH',
  'm mm s ss SSS SS S',
  'Z ZZ ZZZ',
  '[at] YYYY [Z] [] [a[b] ] [open',
  'Do X x Q k w W E z L l LT',
  'ü 日 \\t % $& "',
]

const script = `
  console.log('several\\n\\nlines')
  setInterval(() => {}, 60000)`

export async function run(pm2, t) {
  await pm2.connect()
  fs.writeFileSync(t.cwd('dates.js'), script)
  for (const [n, log_date_format] of formats.entries()) {
    await t.quiet.start({ name: `f${n}`, script: 'dates.js', log_date_format })
  }
  for (const n of formats.keys()) {
    await t.contains(`logs/f${n}-out.log`, 'lines')
    t.record(formats[n], t.read(`logs/f${n}-out.log`).replace(/\d/g, '0').split('\n').slice(-4))
  }
}
