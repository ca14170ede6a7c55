/**
 * A process that registers and answers HTTP, for tests that kill it. Tells its parent once it can be found; SIGTERM lets it
 * leave and then finish; it never outlives its parent.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { closeRedis, connectRedis } from '../connection/connection.ts'
import { createRegistration, createRegistry, discoveryKeys } from './discovery.ts'

const { REDIS_URL = '', NAMESPACE = '', INSTANCE_ID = '', TTL_MS = '' } = process.env
const redis = connectRedis(REDIS_URL, { name: INSTANCE_ID })
const registry = createRegistry(redis, { keys: discoveryKeys(NAMESPACE), ttlMs: Number(TTL_MS) })
const server = createServer((_, response) => response.end(INSTANCE_ID))

server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address() as AddressInfo
  const registration = createRegistration(registry, {
    id: INSTANCE_ID,
    service: 'catalog',
    host: '127.0.0.1',
    port,
    startedAtMs: Date.now(),
  })
  await registration.start()
  process.once('SIGTERM', async () => {
    await registration.leave()
    process.send?.('left')
    server.close()
    await closeRedis(redis)
    process.disconnect?.()
  })
  process.send?.('registered')
})
process.once('disconnect', () => process.exit())
