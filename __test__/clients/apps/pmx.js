const pmx = require('pmx').init({ http: false, errors: false })

pmx.probe().metric({ name: 'Users', value: () => 12 })
pmx.action('hello', (reply) => reply({ answer: 42 }))
pmx.action('echo', (params, reply) => reply({ got: params }))
setInterval(() => {}, 60_000)
