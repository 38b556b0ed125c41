// Exits that are not followed by a restart: stop_exit_codes in all spellings, autorestart: false, deaths by signal.
import { follow, recordEnds, shell } from '../lib/policy-cases.mjs'

const exit = (deaths, code, options) => ({ app: shell('', code === 'SIGKILL' ? 'kill -9 $$' : `exit ${code}`, { max_restarts: 2, ...options }), deaths })

export async function run(pm2, t) {
  await pm2.connect()
  const said = await follow(t)
  await recordEnds(t, said, {
    'a list': exit(1, 7, { stop_exit_codes: [5, 7] }),
    'a list of one': exit(1, 7, { stop_exit_codes: [7] }),
    'a number': exit(1, 7, { stop_exit_codes: 7 }),
    'a text': exit(1, 7, { stop_exit_codes: '7' }),
    'a list of texts': exit(1, 7, { stop_exit_codes: ['5', '7'] }),
    'a text with leading zeros': exit(1, 7, { stop_exit_codes: ['007'] }),
    'codes in one text': exit(2, 7, { stop_exit_codes: '5,7' }),
    'codes and blanks in one text': exit(2, 7, { stop_exit_codes: '5 7' }),
    'camel case': exit(1, 7, { stopExitCodes: [7] }),
    'an empty list': exit(2, 7, { stop_exit_codes: [] }),
    'another code': exit(2, 8, { stop_exit_codes: [7] }),
    'the code 0 in a list': exit(1, 0, { stop_exit_codes: [0] }),
    'the code 0 alone': exit(1, 0, { stop_exit_codes: 0 }),
    'the code 0 as text': exit(1, 0, { stop_exit_codes: '0' }),
    'the code 255': exit(1, 255, { stop_exit_codes: [255] }),
    'the code -1': exit(2, 255, { stop_exit_codes: [-1] }),
    'a signal and the code 0': exit(1, 'SIGKILL', { stop_exit_codes: [0] }),
    'a signal and its code': exit(1, 'SIGKILL', { stop_exit_codes: [137] }),
    'autorestart: false, exit code 0': exit(1, 0, { autorestart: false }),
    'autorestart: false, exit code 3': exit(1, 3, { autorestart: false }),
    'autorestart: false, signal': exit(1, 'SIGKILL', { autorestart: false }),
    'autorestart: false and a stop code': exit(1, 7, { autorestart: false, stop_exit_codes: [7] }),
  })
}
