// The user and groups that a process really has. Without root both refuse.
const cases = {
  nobody: { uid: 'nobody' }, 'by number': { uid: 65534 }, 'number as text': { uid: '65534' }, 'user': { user: 'nobody' }, 'user and group': { uid: 'daemon', gid: 'nogroup' }, 'another group': { uid: 'nobody', gid: 2 },
  'own HOME': { uid: 'nobody', env: { HOME: '/own', USER: 'own' } }, unknown: { uid: 'nobody-at-all' }, 'unknown number': { uid: 4242 }, 'unknown group': { uid: 'nobody', gid: 'no-group' }, 'group alone': { gid: 'nogroup' }, 'root by number': { uid: 0 }, 'root by name': { uid: 'root' },
  nothing: {}
}

export async function run(pm2, t) {
  await pm2.connect()
  const identity = (pid) => Object.fromEntries((t.read(`/proc/${pid}/status`).match(/^(Uid|Gid|Groups):.*$/gm) ?? []).map((line) => line.split(/:\s+/)).map(([name, value]) => [name, value?.trim()]))
  for (const [title, given] of Object.entries(cases)) {
    const { error, result } = await t.quiet.start({ name: 'app', script: '/bin/sleep', args: '1000', interpreter: 'none', cwd: '/', ...given })
    if (error) {
      t.record(title, [error].flat().map(({ message }) => message))
      await t.quiet.delete('all')
      continue
    }
    const [{ pm2_env: env }] = result
    const { pid } = await t.online('app')
    const { HOME, USER, LOGNAME, uid, gid, username } = t.environment(pid)
    t.record(title, { uid: env.uid, gid: env.gid, username: env.username, home: env.env.HOME, process: identity(pid), environment: { HOME, USER, LOGNAME, uid, gid, username } })
    await t.quiet.delete('all')
  }
}
