// cron_restart: when it restarts, and what takes it away. A second app with a pattern says how much time has passed.
import { follow, outcome, rest, sleeper } from '../lib/policy-cases.mjs'

const everySecond = { cron_restart: '* * * * * *', min_uptime: 100 }

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  const restarts = async (app) => (await t.proc(app)).pm2_env.restart_time
  const middleOfASecond = () => t.until('the middle of a second', () => Date.now() % 1000 > 300 && Date.now() % 1000 < 600)
  const seconds = async (n) => {
    const before = await restarts('clock')
    await t.until('time passes', async () => await restarts('clock') >= before + n)
    // What comes next is not to meet the other app's turn.
    await middleOfASecond()
  }
  const goesOn = async (app) => {
    const before = await restarts(app)
    await seconds(2)
    return await restarts(app) > before
  }
  // Not through the daemon: PM2's ends when it is to signal a process that its own cron has just stopped.
  const crash = async (app) => {
    await middleOfASecond()
    process.kill((await t.online(app)).pid, 'SIGKILL')
  }
  await t.quiet.start(sleeper('clock', everySecond))
  // So that it is older than min_uptime when its turn comes.
  await middleOfASecond()
  await t.quiet.start(sleeper('app', everySecond))
  await t.online('app', 1)
  t.record('counters', (({ status, unstable_restarts, exit_code, delay, dated }) => ({ status, unstable_restarts, exit_code, delay, dated }))(rest(await t.proc('app'))))
  t.record('events', said('app').slice(0, 5).map(({ event, by, status }) => ({ event, by, status })))
  await t.quiet.restart('app')
  t.record('goes on after a restart', await goesOn('app'))
  await crash('app')
  t.record('goes on after a crash', await goesOn('app'))
  for (const [name, ...call] of [
    ['beside a name', 'restart', 'app', { cron: '0' }],
    ['in an object', 'restart', sleeper('app', { cron_restart: '0' })],
    ['as a number', 'restart', sleeper('app', { cron_restart: 0 })],
  ]) {
    const [method, ...args] = call
    t.record(`removed ${name}: outcome`, outcome(await t.quiet[method](...args)))
    t.record(`removed ${name}: goes on`, await goesOn('app'))
    await t.quiet.restart(sleeper('app', everySecond))
    t.record(`given again after ${name}`, await goesOn('app'))
  }
  await t.quiet.stop('app')
  await seconds(1)
  t.record('of a stopped app', (await t.proc('app')).pm2_env.status)
  await t.quiet.restart('app')
  await t.quiet.dump()
  await t.quiet.killDaemon()
  await pm2.with({ as: 'connect again' }).connect()
  await t.quiet.resurrect()
  await t.until('all are back', async () => (await t.all()).length === 2)
  t.record('restored', await goesOn('app'))
}
