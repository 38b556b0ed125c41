// Compiled, never run: imports by name, which Node finds in the text of index.js.

import pm2, { connect, custom, start } from '../../index.js'

connect((error) => {
  if (error) throw error
})
void start('app.js', { name: 'a' })
void new custom({ pm2_home: '/tmp/other' }).list()
pm2.delete('all', () => {})
