/** The whole way of a key: issued here, checked by four gateways that are processes of their own, under load. */
import { randomBytes, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { IssuedApiKey } from '@shop/contracts/api-key'
import type { Identity } from '@shop/contracts/identity'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createRegistration, createRegistry, discoveryKeys } from '@shop/redis-kit/discovery'
import { generateIdentityKeys } from '@shop/service-kit/identity'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { startService } from '@shop/test-kit/service'
import { afterAll, expect, test, vi } from 'vitest'
import { startUser } from '../user.fixture.ts'

vi.setConfig({ testTimeout: 90_000 })

const gatewayCount = 4
const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'of-an-admin' }
const body = { name: 'Partner', scopes: ['products:read'], quota: { perMinute: 60_000, perDay: 1_000_000 } }
const ended: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const end of ended.reverse()) await end()
})

const user = await startUser({}, { redisConfig: { appendonly: 'yes', appendfsync: 'always' } })
const other = await user.addInstance('user-other')
const cache = await startRedisWithUsers('cache', { 'maxmemory-policy': 'allkeys-lfu' })
const redis = connectRedis(user.redis.url, { name: 'test' })
ended.push(user.stop, cache.stop, () => closeRedis(redis))
await registerCatalog()
const gateways = await Promise.all(Array.from({ length: gatewayCount }, startGateway))

/** Says yes to everything. */
async function registerCatalog() {
  const server = createServer((_request, response) => response.end('{}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const registry = createRegistry(redis, { keys: discoveryKeys() })
  const instance = { id: 'catalog-1', service: 'catalog', host: '127.0.0.1', port, startedAtMs: Date.now() }
  const registration = createRegistration(registry, instance)
  await registration.start()
  ended.push(registration.leave, async () => void server.close())
}

async function startGateway() {
  const env = {
    REDIS_STATE_URL: user.redis.urlAs('gateway'),
    REDIS_CACHE_URL: cache.urlAs('gateway'),
    IDENTITY_PRIVATE_KEY: generateIdentityKeys().IDENTITY_PRIVATE_KEY,
    PORT: '0',
    INTERNAL_PORT: '0',
    TRUST_PROXY: '1',
  }
  const gateway = await startService({ app: 'gateway', env })
  ended.push(gateway.stop)
  return gateway
}

const issue = async () => (await user.ask('/api/api-keys', { as: admin, method: 'POST', body })).json<IssuedApiKey>()
const rotate = async (id: string) =>
  (await other.ask(`/api/api-keys/${id}/rotate`, { as: admin, method: 'POST' })).json<IssuedApiKey>()
const revoke = (id: string) => other.ask(`/api/api-keys/${id}`, { as: admin, method: 'DELETE' })

/** The answer of the catalog, or the refusal of the gateway. Each request is from another address, none of which is over its limit. */
async function statusAt(url: string, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': `10.${[...randomBytes(3)].join('.')}` }
  const response = await fetch(`${url}/api/products`, { headers })
  await response.text()
  return response.status
}
const statuses = (token: string) => Promise.all(gateways.map(({ url }) => statusAt(url, token)))
const all = (status: number) => Array.from({ length: gatewayCount }, () => status)
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 30_000, interval: 25 })

/** Asks all gateways over and over; resolves `stop` to the statuses of requests that began after each `mark`. */
function load(token: string) {
  const seen: { phase: number; status: number }[] = []
  let [phase, isOver] = [0, false]
  const clients = gateways.map(async ({ url }) => {
    while (!isOver) {
      const startedIn = phase
      seen.push({ phase: startedIn, status: await statusAt(url, token) })
    }
  })
  return {
    mark: () => {
      phase += 1
    },
    countOf: (wanted: number) => seen.filter((one) => one.phase === wanted).length,
    stop: async () => {
      isOver = true
      await Promise.all(clients)
      return (wanted: number) =>
        [...new Set(seen.filter((one) => one.phase === wanted).map(({ status }) => status))].sort()
    },
  }
}

test('a key works at all gateways at once, and after its revocation was answered no gateway accepts it', async () => {
  const { apiKey, token } = await issue()
  expect(await statuses(token)).toEqual(all(200))
  const running = load(token)
  await eventually(async () => expect(running.countOf(0)).toBeGreaterThan(40))
  expect((await revoke(apiKey.id)).statusCode).toBe(204)
  running.mark()
  await eventually(async () => expect(running.countOf(1)).toBeGreaterThan(40))
  const statusesOf = await running.stop()
  expect(statusesOf(1)).toEqual([401])
})

test('after a rotation was answered only the new token is accepted, at all gateways', async () => {
  const { apiKey, token } = await issue()
  const running = load(token)
  await eventually(async () => expect(running.countOf(0)).toBeGreaterThan(20))
  const rotated = await rotate(apiKey.id)
  running.mark()
  expect(await statuses(rotated.token)).toEqual(all(200))
  await eventually(async () => expect(running.countOf(1)).toBeGreaterThan(20))
  const statusesOf = await running.stop()
  expect(statusesOf(1)).toEqual([401])
})

test('while all keys are lost and written again, a valid key is never called invalid', async () => {
  const { token } = await issue()
  const running = load(token)
  await eventually(async () => expect(running.countOf(0)).toBeGreaterThan(20))
  for (let losses = 0; losses < 5; losses += 1) {
    running.mark()
    // In one step, and not FLUSHALL: without the registry there is no catalog to answer.
    await redis.del(...(await redis.keys('user:api-key*')))
    await eventually(async () => expect(await statuses(token)).toEqual(all(200)))
  }
  const statusesOf = await running.stop()
  for (let phase = 0; phase <= 5; phase += 1) expect([200, 503]).toEqual(expect.arrayContaining(statusesOf(phase)))
})

test('a key that was revoked during an outage of Redis is refused everywhere once Redis is back', async () => {
  const { apiKey, token } = await issue()
  expect(await statuses(token)).toEqual(all(200))
  await user.redis.kill('SIGKILL')
  expect((await revoke(apiKey.id)).statusCode).toBe(202)
  expect(await statuses(token)).toEqual(all(503))
  await user.redis.restart()
  await eventually(async () => expect(await statuses(token)).toEqual(all(401)))
})
