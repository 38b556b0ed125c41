// Where a variable comes from when several things say something about it.
import { recordStarts, sleeper, sleeperScript } from '../lib/environment-cases.mjs'

const caller = { COLOUR: 'inherited', SHAPE: 'inherited', PORT: '1' }
const chosen = {
  env: { COLOUR: 'base', SIZE: 'base' }, env_production: { COLOUR: 'chosen', PORT: 7, OBJECT: { a: 1 }, NULL: null, EMPTY: '', YES: true }, env_text: 'text', env_empty: {},
}

const object = (name, options, beside) => ({ caller, start: [sleeper({ name, ...options }), ...(beside ? [beside] : [])] })
const file = (name, top, app, beside) => ({ caller, start: [{ apps: [sleeper({ name, ...app })], ...top }, beside] })
const script = (name, options) => ({ caller, start: sleeperScript({ name, ...options }) })

const cases = {
  'inherited only': object('inherited', {}),
  'own over inherited': object('own', { env: { COLOUR: 'own' } }),
  'port option': object('port', { port: 3000 }),
  'port option as text': object('port-text', { port: '3000' }),
  'port option and variable': object('port-both', { port: 3000, env: { PORT: 4000 } }),
  'port variable': object('port-variable', { env: { PORT: 4000 } }),
  'port beside a script': script('port-script', { port: 3000, env: { PORT: 4000 } }),
  'port and chosen port': object('port-chosen', { port: 3000, env_production: { PORT: 5000 } }, { env: 'production' }),
  'no choice': object('none-chosen', chosen),
  'chosen environment': object('chosen', chosen, { env: 'production' }),
  'chosen and empty': object('chosen-empty', chosen, { env: 'empty' }),
  'unknown choice': object('chosen-unknown', chosen, { env: 'staging' }),
  'chosen without env': object('chosen-alone', { env_production: { COLOUR: 'chosen' } }, { env: 'production' }),
  'chosen from deploy': file('deploy', { deploy: { production: { env: { COLOUR: 'deploy', DEPLOY: 'yes' } } } }, { env: { COLOUR: 'base' } }, { env: 'production' }),
  'deploy under env_': file('deploy-under', { deploy: { production: { env: { COLOUR: 'deploy', DEPLOY: 'yes' } } } }, chosen, { env: 'production' }),
  'deploy of another': file('deploy-other', { deploy: { production: { env: { COLOUR: 'deploy' } } } }, chosen, { env: 'empty' }),
  'environment in the name': object('named', { append_env_to_name: true, ...chosen }, { env: 'production' }),
  'prefixed name': object('prefixed', {}, { name_prefix: 'pre' }),
  'env_ beside a script': script('chosen-script', { ...chosen, env_text: undefined }),
  'working directory': object('folder', { cwd: 'sub' }),
  'working directory and PWD': object('folder-pwd', { cwd: 'sub', env: { PWD: '/own' } }),
  'no working directory but PWD': { caller: { PWD: '/callers' }, start: [sleeper({ name: 'pwd' })] },
  'working directory beside a script': script('folder-script', { cwd: 'sub' }),
  'agent options': object('agent', { io: { a: { b: 1 } } }),
  'agent options and variable': object('agent-both', { io: { a: 1 }, env: { io: 'own' } }),
  'agent options beside a script': script('agent-script', { io: { a: { b: 1 } } }),
  'name of an inherited variable': object('COLOUR', {}),
  'name of an own variable': object('OWN', { env: { OWN: 'x' } }),
  'name of PATH': object('PATH', {}),
  'name of a variable beside a script': script('SHAPE', {}),
  'odd name': object('a b/c', {}),
}

export async function run(pm2, t) {
  await pm2.connect()
  await recordStarts(t, cases)
}
