/** Bytes in the place of an arrival time that the limiter did not write: each is a bucket never used, and is replaced. */
import { createRandom, integerOf } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { damage, newSeed, plant, typesExcept } from '../damage.fixture.ts'
import { createRateLimit, rateLimitKeys } from './rate-limit.ts'

const server = await testRedis()

async function setUp() {
  const redis = connectRedis(server.url, { name: 'damage', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  const keys = rateLimitKeys(server.namespace(), 'test', 'cache')
  const limit = { count: 10, periodMs: 60_000 }
  return {
    key: keys.bucket.key('a'),
    plain: server.connect(),
    // Each check is a process of its own: none remembers a denial.
    fresh: () => createRateLimit(redis, { keys, limit, burst: 3, onUnavailable: 'open', deadlineMs: 5_000 }),
  }
}

test.each(typesExcept('string'))('a %s in the place of the arrival time is replaced', async (type) => {
  const { key, plain, fresh } = await setUp()
  await plant(plain, key, type)
  expect(await fresh().refund('a', { cost: 1, id: 'a', stampUs: (Date.now() + 12_000) * 1_000 })).toBe(false)
  expect(await fresh().check('a')).toMatchObject({ allowed: true, remaining: 2, degraded: false })
  expect(await fresh().check('a')).toMatchObject({ allowed: true, remaining: 1, degraded: false })
  expect(await plain.pttl(key)).toBeGreaterThan(0)
})

test('whatever text is in the place of the arrival time, the next checks decide, and the key expires', async () => {
  const { key, plain, fresh } = await setUp()
  const seed = newSeed()
  const random = createRandom(seed)
  for (let round = 0; round < 200; round++) {
    const text = damage(random, `${(Date.now() + integerOf(random, -100_000, 10 ** 9)) * 1_000}`)
    const where = `seed ${seed}, round ${round}: ${JSON.stringify(text.toString('latin1').slice(0, 60))}`
    await plain.set(key, text)
    await fresh().refund('a', { cost: 1, id: 'a', stampUs: (Date.now() + 12_000) * 1_000 })
    const decision = await fresh().check('a')
    expect([decision.remaining, decision.retryAfterMs, decision.resetAfterMs].every(Number.isSafeInteger), where).toBe(
      true,
    )
    // At the worst the bucket is empty: three intervals of six seconds.
    expect(decision.resetAfterMs, where).toBeLessThanOrEqual(18_000)
    expect(decision.retryAfterMs, where).toBeLessThanOrEqual(6_000)
    if (!decision.allowed) await plain.set(key, Date.now() * 1_000)
    await fresh().check('a')
    expect(await plain.pttl(key), where).toBeGreaterThan(0)
  }
})
