/** A process that kills itself while it sets a key: its arguments are the server's URL, the key and the moment. */

import { script } from '../script.ts'
import { connectRedis, whenReady } from './connection.ts'

const [url = '', key = '', moment] = process.argv.slice(2)
const redis = connectRedis(url, { name: 'killed' })
const set = script(new URL('./written.fixture.lua', import.meta.url))
const die = () => process.kill(process.pid, 'SIGKILL')

await whenReady(redis, 5000)
await set(redis, [key], ['0', 60_000]) // from now on the server knows the script
set(redis, [key], ['1', 60_000], moment === 'written' ? die : undefined).catch(() => undefined)
if (moment === 'sent') die()
