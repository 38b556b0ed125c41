// Restart patterns that are wrong, or unusual. A wrong one under an alias, or a number as text, ends the daemon of
// npm pm2 in the object form: not tried.
import { spelled, tryCases } from '../lib/option-cases.mjs'

const patterns = [
  '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *', '* * * 13 *', '0 0 * * 8', '* * * *', '* * * * * * *', '@daily', 'every day', '5-1 * * * *', '*/0 * * * *', '*/60 * * * *',
  '1,2,x * * * *', '-1 * * * *', '1- * * * *', '0 0 W * *', '0 0 * * MON#1', '2130-13-01T00:00:00', '2130-01-01', 'x', '0 0 31 2 *',
  '1-5,7 * * * *', '1-30/2 * * * *', '5/15 * * * *', '1,2,3 * * * *', '0 0 1,15 * MON-FRI', '0 0 * * SUN', '0 0 * * sat', '0 0 * feb,mar *', '0 0 29 2 *', '\t0\t0 * * *', ' 0 0 * * * ',
]

export async function run(pm2, t) {
  await pm2.connect()
  const object = (given) => [{ name: 'app', script: 'alive.js', autostart: false, ...given }]
  const script = (given) => ['alive.js', { name: 'app', autostart: false, ...given }]
  t.record('object', await tryCases(t, spelled('cron_restart', patterns), object))
  t.record('script', await tryCases(t, spelled('cron', patterns), script))
  await pm2.list()
}
