// A native side without a daemon: every call and verb is recorded and answered by a function.

/**
 * @param answer `(name, request) => reply`; what it returns is the reply of a verb, `{result}` or `{error}`
 * @returns `{native, calls, connections, lose}`; `lose()` ends the live connection as a dying daemon does
 */
export function fakeNative(answer = () => ({ result: [] }), { pubSocket = '/nowhere/pub.sock', refuse } = {}) {
  const calls = []
  const connections = []

  function connection() {
    let end
    const closed = new Promise((resolve) => {
      end = resolve
    })
    const lost = closed.then(() => {
      throw new Error('broken')
    })
    lost.catch(() => {})
    const ask = async (name, json) => {
      const request = JSON.parse(json)
      calls.push([name, request])
      return answer(name, request)
    }
    const call = async (name, json) => {
      const { result, ...rest } = await ask(name, json)
      return JSON.stringify({ args: [result], ...rest })
    }
    const run = async (name, json) => JSON.stringify(await ask(name, json))
    return {
      isOpen: true,
      info: () => ({ newInstance: true, home: '/nowhere', rpcSocket: '/nowhere/rpc.sock', pubSocket }),
      call: (name, json) => Promise.race([call(name, json), lost]),
      run: (name, json) => Promise.race([run(name, json), lost]),
      closed: () => closed,
      close() {
        this.isOpen = false
        end()
      }
    }
  }

  return {
    calls,
    connections,
    lose: () => connections.at(-1).close(),
    native: {
      ping: async () => connections.some(({ isOpen }) => isOpen),
      async connect(options) {
        calls.push(['connect', options])
        await new Promise((resolve) => setImmediate(resolve))
        if (refuse) return refuse
        connections.push(connection())
        return connections.at(-1)
      }
    }
  }
}
