// drive.cjs <module> <folder>: starts the clients of that folder under one implementation and prints what came of them.

const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')

const [, , module_, folder] = process.argv
const pm2 = require(module_)
const call = (method, ...args) =>
  new Promise((resolve, reject) => pm2[method](...args, (error, result) => (error ? reject(error) : resolve(result))))
const inFolder = (...names) => path.join(folder, ...names)

/** Until it gives something, at most 60 s. */
async function until(what, condition) {
  for (const deadline = Date.now() + 60_000; ; await new Promise((next) => setTimeout(next, 100))) {
    const found = await condition()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`not within a minute: ${what}`)
  }
}

function get(url) {
  return new Promise((resolve) => {
    const request = http.get(url, async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve(text)
    })
    request.on('error', () => resolve(''))
  })
}

async function main() {
  fs.mkdirSync(process.env.PM2_HOME, { recursive: true })
  const slack = []
  const sink = http.createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    slack.push(JSON.parse(text))
    response.end('ok')
  })
  await new Promise((resolve) => sink.listen(0, '127.0.0.1', resolve))

  const slack_url = `http://127.0.0.1:${sink.address().port}/`
  const settings = {
    'pm2-slack': { slack_url, log: true, error: false, exception: true, buffer: true },
    'pm2-logrotate': { max_size: '1K', workerInterval: '1', retain: '5' }
  }
  fs.writeFileSync(path.join(process.env.PM2_HOME, 'module_conf.json'), JSON.stringify(settings))
  await call('connect')
  const bus = await call('launchBus')
  const human = []
  bus.on('human:event', (packet) => human.push(packet.data))
  const module = (name, script) => call('start', { name, script: inFolder('node_modules', name, script) })
  await module('pm2-slack', 'index.js')
  await module('pm2-logrotate', 'app.js')
  await module('pm2-prometheus-exporter', 'exporter.js')
  for (const name of ['io', 'pmx', 'tx2']) await call('start', { name, script: inFolder('apps', `${name}.js`) })
  // The bus of pm2-slack is open when its module has said what it is.
  const entry = async (name) => (await call('describe', name))[0]
  await until('pm2-slack runs', async () => (await entry('pm2-slack')).pm2_env.axm_options.module_name)
  await new Promise((next) => setTimeout(next, 1000))
  await call('start', { name: 'noisy', script: inFolder('apps', 'noisy.js') })

  const replies = []
  bus.on('axm:reply', (packet) => replies.push(packet))
  /** Not `trigger` itself, which in npm pm2 misses an answer that comes too early. */
  const triggered = async (command) => {
    replies.length = 0
    await new Promise((resolve, reject) => pm2.Client.executeRemote('msgProcess', command, (error) => (error ? reject(error) : resolve())))
    return until(`an answer to ${command.msg}`, () => replies.find(({ data }) => data.action_name === command.msg))
  }

  const result = {}
  for (const name of ['io', 'pmx', 'tx2']) {
    const { pm2_env: env, pm_id: id } = await until(`${name} reports`, async () => {
      const found = await entry(name)
      return found.pm2_env.axm_monitor.Users && found.pm2_env.axm_actions.some(({ action_name }) => action_name === 'echo') && found
    })
    const answers = [await triggered({ id, msg: 'hello' }), await triggered({ name, msg: 'echo', opts: 'text' })]
    result[name] = {
      users: Number(env.axm_monitor.Users.value),
      heap: Number(env.axm_monitor['Used Heap Size']?.value ?? env.axm_monitor['Heap Size']?.value) > 1,
      answers: answers.map(({ data, process }) => [process.name, data.action_name, data.return])
    }
    if (name === 'io') {
      result.counter = await until('the counter', async () => Number((await entry('io')).pm2_env.axm_monitor.Calls?.value))
    }
  }
  result.human = human
  result.exporter = await until('metrics', async () => {
    return (await get('http://127.0.0.1:9209/metrics')).split('\n').find((line) => /^pm2_up\{name="noisy"/.test(line))
  })
  const logs = path.join(process.env.PM2_HOME, 'logs')
  const rotated = await until('a rotated log', () => fs.readdirSync(logs).find((file) => /^noisy-out__.*\.log$/.test(file)))
  result.rotated = fs.readFileSync(path.join(logs, rotated), 'utf8').startsWith('hello x')
  const { axm_options: options } = (await entry('pm2-logrotate')).pm2_env
  result.module = [options.isModule, options.module_name, options.module_conf?.max_size]
  const told = (text) => slack.flatMap(({ attachments }) => attachments).find(({ fallback }) => text.test(fallback))
  const log = await until('a log in slack', () => told(/ - log - [^]*still there/))
  const exception = await until('an exception in slack', () => told(/^noisy - exception - /))
  result.slack = [log.color, exception.color, JSON.parse(exception.fields[0].value.split('\n')[0]).message]
  bus.close()
  console.log(JSON.stringify(result))
}

main().then(
  () => process.exit(),
  async (error) => {
    console.error(error)
    for (const { name, pm2_env: env } of await call('list').catch(() => [])) {
      console.error(name, env.status, env.restart_time, env.axm_monitor, fs.readFileSync(env.pm_err_log_path, 'utf8').slice(-2000))
    }
    process.exit(1)
  }
)
