/** Bytes in the place of what a limiter wrote: each counts as nothing used, or as at most everything, and is replaced. */
import { createRandom, integerOf, type Random } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import type { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { damage, damagedTexts, newSeed, plant, someTimeUs, typesExcept } from '../damage.fixture.ts'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
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
  for (const { text, where } of damagedTexts(200, someTimeUs)) {
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

/** What a key of the algorithm holds, with one part of it damaged. Scores of a sorted set are numbers in any case. */
const damaged: Record<Algorithm, (plain: Redis, key: string, random: Random) => Promise<unknown>> = {
  gcra: (plain, key, random) => plain.set(key, damage(random, `${nowUs() + 5_000_000}`)),
  'fixed-window': (plain, key, random) => plain.set(key, damage(random, `${nowUs()}:2`)),
  'token-bucket': (plain, key, random) =>
    damageField(plain, { key, random, fields: { tokens: 1, part: 5, at: nowUs() } }),
  'sliding-window-counter': (plain, key, random) =>
    damageField(plain, { key, random, fields: { start: nowUs() - 1_000_000, current: 1, previous: 2 } }),
  'sliding-window-log': async (plain, key, random) => {
    const scores = ['-inf', '-1', '0', '1e300', '+inf', `${nowUs() + 10 ** 13}`, `${nowUs() - 61_000_000.5}`]
    for (let i = 0; i < integerOf(random, 1, 50); i++) {
      await plain.zadd(key, scores[integerOf(random, 0, scores.length - 1)] ?? 0, damage(random, `c${i}:1`))
    }
  },
}

const nowUs = () => Date.now() * 1_000

interface Fields {
  key: string
  random: Random
  fields: Record<string, number>
}

async function damageField(plain: Redis, { key, random, fields }: Fields) {
  const names = Object.keys(fields)
  const name = names[integerOf(random, 0, names.length - 1)] as string
  await plain.hset(key, fields)
  if (integerOf(random, 0, 3) === 0) return plain.hdel(key, name)
  return plain.hset(key, name, damage(random, String(fields[name])))
}

test.each(ALGORITHMS)(
  '%s decides whatever its key holds, locks no id out for longer than a window, and the key expires',
  async (algorithm) => {
    const redis = connectRedis(server.url, { name: 'damage', commandTimeoutMs: 5_000 })
    onTestFinished(() => closeRedis(redis))
    await whenReady(redis, 10_000)
    const keys = rateLimitKeys(server.namespace(), 'test', 'cache', { algorithm })
    const limit = { count: 3, periodMs: 60_000 }
    const fresh = () => createRateLimit(redis, { keys, algorithm, limit, onUnavailable: 'closed', deadlineMs: 5_000 })
    const [plain, key, seed] = [server.connect(), keys.bucket.key('a'), newSeed()]
    const random = createRandom(seed)
    for (let round = 0; round < 100; round++) {
      const where = `seed ${seed}, round ${round}`
      await plain.del(key)
      await damaged[algorithm](plain, key, random)
      const charge = { cost: 1, id: 'c0', stampUs: nowUs() + 60_000_000 }
      await fresh().refund('a', charge)
      for (const decision of [await fresh().peek('a', 3), await fresh().check('a'), await fresh().penalize('a', 9)]) {
        const { remaining, retryAfterMs, resetAfterMs, degraded } = decision
        expect([remaining, retryAfterMs, resetAfterMs].every(Number.isSafeInteger), where).toBe(true)
        expect(degraded, where).toBe(false)
        expect(remaining, where).toBeLessThanOrEqual(3)
        // A counter that holds two full windows: this one and a part of the next.
        expect(retryAfterMs, where).toBeLessThanOrEqual(algorithm === 'sliding-window-counter' ? 120_000 : 60_000)
      }
      expect(await plain.pttl(key), where).toBeGreaterThan(0)
      expect(await plain.type(key), where).toBe(keys.bucket.type)
    }
  },
)
