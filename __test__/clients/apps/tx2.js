const tx2 = require('tx2')

tx2.metric({ name: 'Users', value: () => 12, unit: 'users' })
tx2.action('hello', (reply) => reply({ answer: 42 }))
tx2.action('echo', (params, reply) => reply({ got: params }))
tx2.event('user:register', { user: 'Alice' })
setInterval(() => {}, 60_000)
