// Clients that ask an HTTP server without a pause, and what becomes of their requests.

import http from 'node:http'
import { host } from '../cluster/clients.mjs'
import { waitFor } from './wait.mjs'

/** A request that is neither answered nor failed by then hangs. */
const patience = 10_000

/** One request. @returns what the server says, as JSON */
export function ask(port, path = '/', agent = false) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host, port, path, agent }, async (response) => {
      try {
        let text = ''
        for await (const chunk of response) text += chunk
        resolve(JSON.parse(text))
      } catch (error) {
        reject(error)
      }
    })
    request.on('error', reject)
    request.setTimeout(patience, () => request.destroy(new Error(`${path} hangs`)))
  })
}

/**
 * Clients of a server that answers `{pid, url}`, half of them with a connection per request, half with one that is
 * kept. The URL is another one each time, so that no answer can pass for another one's.
 *
 * @returns `{servedBy, end}`; `servedBy` waits until each of these pids has answered from now on, `end` gives the
 *   failures
 */
export function startLoad(t, port, { clients = 8 } = {}) {
  const failures = []
  let served = new Set()
  let running = true

  async function work(client) {
    const agent = new http.Agent({ keepAlive: client % 2 === 1, maxSockets: 1 })
    for (let n = 0; running; n += 1) {
      const path = `/${client}/${n}`
      try {
        const { pid, url } = await ask(port, path, agent)
        if (url !== path) throw new Error(`${url} instead of ${path}`)
        served.add(pid)
      } catch (error) {
        failures.push(error.message)
      }
    }
    agent.destroy()
  }

  const working = Array.from({ length: clients }, (_, client) => work(client))
  const end = async () => {
    running = false
    await Promise.all(working)
    return failures
  }
  t.teardown(end)

  async function servedBy(pids) {
    served = new Set()
    await waitFor(() => pids.every((pid) => served.has(pid)))
  }

  return { servedBy, end }
}
