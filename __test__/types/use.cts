// Compiled, never run: real use of the API must be accepted, misuse must not.

import pm2 = require('../../index')

const { list, custom } = pm2

pm2.connect((error, meta) => {
  if (error) throw error
  const launched: boolean = meta.new_pm2_instance
  void launched
})
pm2.connect(true, () => {})
pm2.connect({ daemon_mode: false }, () => {})
const meta: Promise<pm2.Connection> = pm2.connect()
void meta

pm2.start('app.js', (error, processes) => {
  if (Array.isArray(error)) error.map(({ message }) => message)
  else if (error) throw error
  const id: number | string | undefined = processes[0]?.pm2_env.pm_id
  void id
})
pm2.start('app.js', { name: 'a', maxMemoryRestart: '100M', max_restarts: 3 }, () => {})
pm2.start('app.js', 'other.json', () => {})
pm2.start('ecosystem.config.js', { env: 'production', only: 'a,b' }, () => {})
pm2.start({ script: 'app.js', exec_mode: 'cluster', instances: 'max', env: { A: 1 }, env_production: { A: 2 } }, () => {})
pm2.start([{ script: 'a.js' }, { script: 'b.js', watch: ['src'] }], () => {})
const started: Promise<pm2.Process[]> = pm2.start({ apps: [{ script: 'a.js' }] }, { env: 'production' })
void started
// @ts-expect-error a script is a text
pm2.start(1)

// Callbacks as scripts for PM2 annotate them.
const declaredBefore = { script: 'app.js', exec_mode: 'cluster', instances: 4, max_memory_restart: '100M' }
pm2.start(declaredBefore, (err: Error, proc) => {
  if (err) throw err
  void proc[0]?.pm2_env.name
})
const shared = (err: Error | null, proc: pm2.Process[]) => void [err, proc]
pm2.start('app.js', shared)
pm2.restart('all', shared)
pm2.reload('all', shared)
pm2.stop('all', shared)
pm2.resurrect(shared)
pm2.connect((err: Error) => void err)
pm2.list((err: Error, found: pm2.ProcessDescription[]) => void [err, found])
pm2.disconnect((err: Error | null) => void err)
pm2.launchBus((err: Error, bus) => void [err, bus.sock])
pm2.delete('all', (err: any) => void err)
// @ts-expect-error the processes are no text
pm2.describe('a', (err: Error, found: string) => void [err, found])
pm2.msgProcess({ id: 0, msg: 'collect' }, (error, { process_count }) => void [error, process_count])
pm2.trigger('api', 'collect', (error, replies) => void [error, replies[0]?.data.return])
pm2.trigger(0, 'collect', { deep: true }, (error, replies) => void [error, replies])
const replies: Promise<pm2.ActionReply[]> = pm2.trigger('all', 'collect')
void replies
// @ts-expect-error an action has a name
pm2.trigger(0)
// The example of PM2's API document.
pm2.sendDataToProcessId({ type: 'process:msg', data: { some: 'data', hello: true }, id: 0 }, function (err, res) {
  void [err, res.data]
})
pm2.launchBus(async (error, bus) => {
  if (error) throw error
  bus.on('process:event', ({ event, process }) => void [event.length, process.pm_id])
  bus.on('log:*', (stream: string, packet: pm2.LogPacket) => void [stream, packet.data])
  bus.on('my:topic', (packet) => void packet.data)
  // @ts-expect-error logs have data
  bus.on('log:out', ({ text }) => void text)
  bus.off('log:*').off('x', () => {})
  for await (const [topic, packet] of bus) void [topic.length, packet]
  for await (const [stream, packet] of bus.events('log:*')) void [stream, packet]
})

pm2.startup('ubuntu', (error, result) => void [error, result.destination, result.template])
pm2.startup('systemd', { user: 'deploy', hp: '/home/deploy', serviceName: 'apps', waitIp: true }, () => {})
pm2.uninstallStartup(undefined, (error, result) => void [error, result.commands[0], result.platform])
const written: Promise<pm2.StartupResult> = pm2.startup()
void written
// @ts-expect-error the platform comes first
pm2.startup({ user: 'deploy' }, () => {})

pm2.restart('all', { updateEnv: true }, () => {})
pm2.reload(0, () => {})
pm2.gracefulReload('api', () => {})
pm2.stop(['a', 3], () => {})
pm2.delete('[{"name":"a"}]', 'pipe', () => {})
// @ts-expect-error a target is needed
pm2.stop()

list((error, processes) => {
  const memory: number | undefined = processes[0]?.monit.memory
  const interpreter: string | undefined = processes[0]?.pm2_env.exec_interpreter
  void [error, memory, interpreter]
})

async function promises() {
  const bus = await pm2.launchBus()
  bus.on('log:*', (stream: string, packet: { data: string }) => [stream, packet.data]).off('log:*')
  bus.close()
  await pm2.sendDataToProcessId({ id: 0, type: 'process:msg', data: { some: 'data' } })
  await pm2.sendDataToProcessId(0, { topic: 'x', data: 1 })
  await pm2.sendLineToStdin(0, 'line')
  await pm2.sendSignalToProcessName('SIGUSR1', 'all')
  await pm2.scale('api', '+2')
  await pm2.flush()
  await pm2.reloadLogs({ rotate: true })
  await pm2.printLogs(0, 5, true)
  const stream = await pm2.streamLogs('all', { lines: 5, json: true, exclusive: 'err' })
  stream.close()
  await pm2.start({ script: 'a.js', log_rotate: { max_size: '5M', compress: 'zstd', rotateInterval: false } })
  await pm2.dump(true)
  const ids: number[] = await pm2.getProcessIdByName('api')
  const alive: boolean = await pm2.Client.pingDaemon()
  await pm2.Client.executeRemote('getMonitorData', {})
  const other = new custom({ pm2_home: '/tmp/other' })
  await other.disconnect()
  return [ids, alive]
}
void promises

pm2.launchBus((error, bus, socket) => {
  socket.on('reconnect attempt', () => {})
  bus.on('process:event', (packet) => packet.event)
  void error
})
