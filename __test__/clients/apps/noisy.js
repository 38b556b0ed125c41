// Writes more than a kilobyte to its output, something to its error stream, and fails once without ending.
process.on('uncaughtException', (error) => console.log(`caught ${error.message}`))
console.log(`hello ${'x'.repeat(2000)}`)
console.error('oops')
setTimeout(() => {
  throw new Error('boom')
}, 500)
setInterval(() => console.log('still there'), 1000)
