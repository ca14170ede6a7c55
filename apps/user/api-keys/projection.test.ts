/** What the gateways find in Redis, whatever happens between a change in Postgres and its arrival. */
import { randomUUID } from 'node:crypto'
import type { ApiKey, IssuedApiKey } from '@shop/contracts/api-key'
import type { Identity } from '@shop/contracts/identity'
import { closeRedis, connectRedis, type Redis } from '@shop/redis-kit/connection'
import { script } from '@shop/redis-kit/script'
import { apiKeyLifetimeMs } from '@shop/service-kit/identity/api-key-keys'
import { parseApiKeyToken } from '@shop/service-kit/identity/api-key-token'
import { createPrismaAdapter } from '@shop/service-kit/storage/database'
import { createRandom, oneOf } from '@shop/test-kit/random'
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { keys } from '../keys.ts'
import { PrismaClient } from '../prisma/client/client.ts'
import { startUser } from '../user.fixture.ts'

vi.setConfig({ testTimeout: 60_000 })

type Instance = Pick<Awaited<ReturnType<typeof startUser>>, 'ask'>

/** What was written survives a restart. */
const durable = { appendonly: 'yes', appendfsync: 'always' }
const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'of-an-admin' }
const body = { name: 'Partner', scopes: ['products:read', 'categories:read'], quota: { perMinute: 60, perDay: 1_000 } }

/** Two instances of the user service. */
const user = await startUser({}, { redisConfig: durable })
const other = await user.addInstance('user-other')
const redis = connectRedis(user.redis.url, { name: 'test' })
const prisma = new PrismaClient({ adapter: createPrismaAdapter(user.database.url, { name: 'test' }) })
afterAll(async () => {
  await Promise.all([closeRedis(redis), prisma.$disconnect()])
  await user.stop()
})

async function issue(more: object = {}, { ask }: Instance = user): Promise<IssuedApiKey> {
  return (await ask('/api/api-keys', { as: admin, method: 'POST', body: { ...body, ...more } })).json()
}
const rotate = ({ ask }: Instance, id: string) => ask(`/api/api-keys/${id}/rotate`, { as: admin, method: 'POST' })
const revoke = ({ ask }: Instance, id: string) => ask(`/api/api-keys/${id}`, { as: admin, method: 'DELETE' })
const keyOf = (id: string) => keys.apiKeys.key.key(id)
const row = (id: string) => prisma.apiKey.findUniqueOrThrow({ where: { id } })

/** As the gateway decides. */
async function accepts(token: string): Promise<boolean> {
  const { id, digest } = parseApiKeyToken(token) ?? { id: 'none', digest: '' }
  return (await redis.hget(keyOf(id), 'digest')) === digest
}
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 20_000, interval: 20 })
const untilRefused = (token: string) => eventually(async () => expect(await accepts(token)).toBe(false))
const untilAccepted = (token: string) => eventually(async () => expect(await accepts(token)).toBe(true))
const untilComplete = () =>
  eventually(async () => expect(await redis.hexists(keys.apiKeys.projection.key(), 'complete')).toBe(1))

describe('when the answer comes, Redis has', () => {
  test('a new key, with what the gateway needs and nothing else', async () => {
    const { apiKey, token } = await issue()
    const { version, ...fields } = await redis.hgetall(keyOf(apiKey.id))
    expect(version).toBe('1')
    expect(fields).toEqual({
      digest: parseApiKeyToken(token)?.digest,
      scopes: 'products:read categories:read',
      perMinute: '60',
      perDay: '1000',
    })
    const ttlMs = await redis.pttl(keyOf(apiKey.id))
    expect(ttlMs).toBeGreaterThan(0)
    expect(ttlMs).toBeLessThanOrEqual(apiKeyLifetimeMs)
  })

  test('the new token of a rotated key, and not the old one', async () => {
    const { apiKey, token } = await issue()
    const rotated = (await rotate(user, apiKey.id)).json<IssuedApiKey>()
    expect([await accepts(token), await accepts(rotated.token)]).toEqual([false, true])
  })

  test('a version alone of a revoked key, for an hour', async () => {
    const { apiKey } = await issue()
    expect((await revoke(user, apiKey.id)).statusCode).toBe(204)
    expect(await redis.hgetall(keyOf(apiKey.id))).toEqual({ version: '2' })
    expect(await redis.pttl(keyOf(apiKey.id))).toBeGreaterThan(apiKeyLifetimeMs / 2)
  })

  test('a key that expires soon, no longer than that', async () => {
    const expiresAt = new Date(Date.now() + 90_000).toISOString()
    const { apiKey } = await issue({ expiresAt })
    expect(await redis.pexpiretime(keyOf(apiKey.id))).toBe(Date.parse(expiresAt))
  })
})

describe('an outage of Redis', () => {
  test('at a revocation is answered honestly, and the key is gone once Redis is back', async () => {
    const { apiKey, token } = await issue()
    await untilComplete()
    await user.redis.kill('SIGKILL')
    const response = await revoke(user, apiKey.id)
    expect(response.statusCode).toBe(202)
    expect(response.json<ApiKey>()).toMatchObject({ inForce: false, revokedAt: expect.any(String) })
    expect(response.headers['cache-control']).toBe('no-store')
    await user.redis.restart()
    await untilRefused(token)
    await eventually(async () => expect((await row(apiKey.id)).projectedVersion).toBe(2))
    await eventually(async () => expect((await revoke(user, apiKey.id)).statusCode).toBe(204))
  })

  test('of one instance only is repaired by the other', async () => {
    const { apiKey, token } = await issue()
    await user.link.refuse()
    onTestFinished(() => user.link.heal())
    expect((await revoke(user, apiKey.id)).statusCode).toBe(202)
    await untilRefused(token)
  })

  test('at an issue does not cost the token: the key works as soon as Redis is back', async () => {
    const fresh = await startUser()
    onTestFinished(fresh.stop)
    await fresh.link.refuse()
    const { apiKey, token } = await issue({}, fresh)
    expect([apiKey.inForce, token]).toEqual([false, expect.stringContaining(apiKey.id)])
    await fresh.link.heal()
    const look = connectRedis(fresh.redis.url, { name: 'test' })
    onTestFinished(() => closeRedis(look))
    const digest = parseApiKeyToken(token)?.digest
    await eventually(async () => expect(await look.hget(keyOf(apiKey.id), 'digest')).toBe(digest))
  })

  test('that loses all keys is repaired: each live key is back, each ended one stays away, and the mark comes last', async () => {
    const [live, ended] = [await issue(), await issue()]
    await revoke(user, ended.apiKey.id)
    await untilComplete()
    await redis.flushall()
    await untilComplete()
    expect([await accepts(live.token), await accepts(ended.token)]).toEqual([true, false])
  })

  test('that loses the last write is repaired at the next connection', async () => {
    const { apiKey, token } = await issue()
    const before = await redis.hgetall(keyOf(apiKey.id))
    await revoke(user, apiKey.id)
    await redis.del(keyOf(apiKey.id))
    await redis.hset(keyOf(apiKey.id), before)
    expect(await accepts(token)).toBe(true)
    user.link.cut()
    await untilRefused(token)
  })
})

test('a process that ends between commit and write leaves the rest to the loop', async () => {
  const { apiKey, token } = await issue()
  await prisma.apiKey.update({ where: { id: apiKey.id }, data: { revokedAt: new Date(), version: { increment: 1 } } })
  await untilRefused(token)
})

test('a key of another type, and one without a version, are replaced', async () => {
  const [first, second] = [await issue(), await issue()]
  await redis.set(keyOf(first.apiKey.id), 'damaged')
  await redis.del(keyOf(second.apiKey.id))
  await redis.hset(keyOf(second.apiKey.id), { version: 'none', digest: 'damaged' })
  await redis.set(keys.apiKeys.projection.key(), 'damaged')
  user.link.cut()
  await Promise.all([untilAccepted(first.token), untilAccepted(second.token)])
  await untilComplete()
})

test.each([
  ['that is no number', 'inf', apiKeyLifetimeMs],
  ['with a fraction', '99.5', apiKeyLifetimeMs],
  ['without expiry', '99', 0],
  ['that outlives every write', '99', 1_000 * apiKeyLifetimeMs],
])('a version %s does not keep the state of a key out', async (_name, version, ttlMs) => {
  const { apiKey, token } = await issue()
  await redis.hset(keyOf(apiKey.id), { version, digest: 'damaged' })
  if (ttlMs > 0) await redis.pexpire(keyOf(apiKey.id), ttlMs)
  else await redis.persist(keyOf(apiKey.id))
  user.link.cut()
  await untilAccepted(token)
  expect((await revoke(user, apiKey.id)).statusCode).toBe(204)
  expect(await redis.hgetall(keyOf(apiKey.id))).toEqual({ version: '2' })
})

test('a full Redis still takes a revocation', async () => {
  const { apiKey, token } = await issue()
  await redis.config('SET', 'maxmemory', '1')
  onTestFinished(async () => void (await redis.config('SET', 'maxmemory', '0')))
  await expect(redis.set('registry:full', '1')).rejects.toThrow()
  expect((await revoke(user, apiKey.id)).statusCode).toBe(204)
  expect(await accepts(token)).toBe(false)
})

describe('races', () => {
  const random = createRandom(20_261_127)
  const shuffled = <Item>(items: readonly Item[]) =>
    items
      .map((item) => ({ item, rank: random() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ item }) => item)

  test('200 keys, rotated and revoked at once through two instances: the row decides', async () => {
    const instances = [user, other]
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(Array.from({ length: 10 }, () => race(instances, random() < 0.5)))
    }
  })

  async function race(instances: readonly Instance[], isRevoked: boolean) {
    const { apiKey, token } = await issue({}, oneOf(random, instances))
    const calls = shuffled([rotate, rotate, rotate, ...(isRevoked ? [revoke] : [])])
    const answers = await Promise.all(calls.map((call) => call(oneOf(random, instances), apiKey.id)))
    const tokens = answers.flatMap((answer) => (answer.statusCode === 200 ? [answer.json<IssuedApiKey>().token] : []))
    const { digest } = await row(apiKey.id)
    const accepted = await Promise.all([token, ...tokens].map(accepts))
    const expected = [token, ...tokens].map((one) => !isRevoked && parseApiKeyToken(one)?.digest === digest)
    expect(accepted).toEqual(expected)
  }

  const write = script<number>(new URL('./write-key.lua', import.meta.url))
  /** Without a look at the version. */
  const naive = async (key: string, version: number, fields: readonly string[]) => {
    await redis.del(key)
    await redis.hset(key, 'version', version, ...fields)
  }
  const byVersion = async (key: string, version: number, fields: readonly string[]) => {
    await write(redis, [key], [version, await serverTimeMs(redis), 10_000, apiKeyLifetimeMs, '', ...fields])
  }

  test.each([
    ['leaves the newest in all of 200 orders', byVersion, 0],
    ['that ignored the version would not', naive, 1],
  ])('a writer %s', async (_name, put, minRevivedCount) => {
    let revivedCount = 0
    for (let round = 0; round < 200; round += 1) {
      const key = keyOf(`race${String(round).padStart(4, '0')}`)
      const states = [1, 2, 3, 4].map((version) => ({ version, fields: version < 4 ? ['digest', `v${version}`] : [] }))
      for (const { version, fields } of shuffled([...states, oneOf(random, states)])) await put(key, version, fields)
      if ((await redis.hget(key, 'digest')) !== null) revivedCount += 1
      await redis.del(key)
    }
    expect(revivedCount > 0).toBe(minRevivedCount > 0)
  })

  test('a state that was read more than ten seconds ago is refused, and changes nothing', async () => {
    const key = keyOf('toolate0')
    const nowMs = await serverTimeMs(redis)
    expect(await write(redis, [key], [1, nowMs - 10_500, 10_000, 60_000, '', 'digest', 'd'])).toBe(-1)
    expect(await redis.exists(key)).toBe(0)
    expect(await write(redis, [key], [1, nowMs, 10_000, 60_000, '', 'digest', 'd'])).toBe(1)
    expect(await write(redis, [key], [2, nowMs, 10_000, 60_000, nowMs - 1, 'digest', 'd'])).toBe(2)
    expect(await redis.hgetall(key)).toEqual({ version: '2' })
    await redis.del(key)
  })
})

test('the gateway may read the keys and not write them; other services may do neither', async () => {
  const { apiKey } = await issue()
  const [gateway, order] = ['gateway', 'order'].map((name) => connectRedis(user.redis.urlAs(name), { name: 'test' }))
  onTestFinished(async () => void (await Promise.all([gateway, order].map((one) => one && closeRedis(one)))))
  expect(await gateway?.hexists(keyOf(apiKey.id), 'digest')).toBe(1)
  const denied = { code: 'REDIS_NOT_PERMITTED' }
  await expect(gateway?.hset(keyOf(apiKey.id), 'digest', 'x')).rejects.toMatchObject(denied)
  await expect(order?.hgetall(keyOf(apiKey.id))).rejects.toMatchObject(denied)
})

async function serverTimeMs(server: Redis): Promise<number> {
  const [seconds, microseconds] = await server.time()
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}
