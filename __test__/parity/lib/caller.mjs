// The variables of this process, which callers change and npm pm2 changes too.

/** Runs `work` with other variables, `null` to remove one; all are as before afterwards. */
export async function inEnvironment(variables, work) {
  const before = { ...process.env }
  setVariables(variables)
  try {
    return await work()
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
    Object.assign(process.env, before)
  }
}

export function setVariables(variables) {
  for (const [name, value] of Object.entries(variables)) {
    if (value === null) delete process.env[name]
    else process.env[name] = value
  }
}
