const io = require('@pm2/io')

io.metric({ name: 'Users', value: () => 12, unit: 'users' })
const counter = io.counter({ name: 'Calls' })
io.action('hello', (reply) => {
  counter.inc()
  reply({ answer: 42 })
})
io.action('echo', (params, reply) => reply({ got: params }))
setInterval(() => {}, 60_000)
