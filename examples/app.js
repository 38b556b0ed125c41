// An ordinary HTTP server; nothing in it knows who manages it.
const http = require('http');

http
  .createServer((request, response) => response.end(`hello from process ${process.pid}\n`))
  .listen(process.env.PORT || 3000, '127.0.0.1', () => console.log('listening'));
