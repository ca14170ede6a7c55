/** Which limits each algorithm refuses, which extremes it keeps, and that all of them limit on a full server. */
import { readFileSync } from 'node:fs'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Found, runHistories } from './algorithm/history.fixture.ts'
import { ALGORITHMS, type Algorithm, kinds, type Policy, planOf } from './algorithms.ts'
import { createRateLimit, rateLimitKeys } from './rate-limit.ts'
import { tokenUnitsOf } from './token-units.ts'

const DAY_MS = 86_400_000
const maxPeriodMs = 366 * DAY_MS

let server: Awaited<ReturnType<typeof startRedis>>
let redis: Redis
beforeAll(async () => {
  server = await startRedis({ config: { 'maxmemory-policy': 'noeviction' } })
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})

function planFor(policy: Partial<Policy> & { algorithm: Algorithm }) {
  const { count = 10, periodMs = 1_000, burst = count, algorithm } = policy
  return planOf(
    { count, periodMs, burst, algorithm },
    rateLimitKeys('t', 't', 'cache', { algorithm, maxPeriodMs }).bucket,
    'open',
  )
}

describe.each(ALGORITHMS)('%s', (algorithm) => {
  test.each([
    [{ count: 0 }, 'limit.count'],
    [{ count: 1.5 }, 'limit.count'],
    [{ count: Number.NaN }, 'limit.count'],
    [{ periodMs: 0 }, 'limit.periodMs'],
    [{ periodMs: 0.5 }, 'limit.periodMs'],
    [{ periodMs: Number.NaN }, 'limit.periodMs'],
    [{ periodMs: 367 * DAY_MS }, 'limit.periodMs'],
    [{ burst: 0 }, 'burst'],
    [{ burst: Number.POSITIVE_INFINITY }, 'burst'],
  ])('refuses %o and names %s', (policy, text) => {
    expect(() => planFor({ algorithm, ...policy })).toThrow(RangeError)
    expect(() => planFor({ algorithm, ...policy })).toThrow(text)
  })

  test('refuses keys of another type, and keys that may not live as long as its bucket', () => {
    const other = algorithm === 'sliding-window-log' ? 'gcra' : 'sliding-window-log'
    const keys = rateLimitKeys('t', 't', 'cache', { algorithm: other })
    const options = { algorithm, limit: { count: 1, periodMs: 1_000 }, onUnavailable: 'open' as const }
    expect(() => createRateLimit({} as never, { keys, ...options })).toThrow(/is a (zset|string), and .* needs a/)
    const ofADay = rateLimitKeys('t', 't', 'cache', { algorithm })
    const long = { ...options, keys: ofADay, limit: { count: 1, periodMs: DAY_MS + 1 } }
    expect(() => createRateLimit({} as never, long)).toThrow(/longer than .* may live/)
    expect(() => rateLimitKeys('t', 't', 'cache', { algorithm, maxPeriodMs: maxPeriodMs + 1 })).toThrow('maxPeriodMs')
  })

  const extremes: { count: number; periodMs: number }[] = [
    { count: 1, periodMs: 1 },
    { count: 1_000, periodMs: 1 },
    { count: 5, periodMs: 31 * DAY_MS },
    { count: 10_000, periodMs: maxPeriodMs },
    { count: 9_973, periodMs: maxPeriodMs - 1 },
    { count: 7, periodMs: 1_000 / 3 },
  ]
  test.each(extremes)('keeps $count per $periodMs ms: all at once, none more, and the wait suffices', async (limit) => {
    const policy: Policy = { algorithm, ...limit, burst: limit.count }
    const steps = [
      { kind: 'check', cost: limit.count, waitUs: 0 },
      { kind: 'check', cost: 1, waitUs: 0 },
      { kind: 'again', cost: 1, waitUs: 0 },
      { kind: 'check', cost: limit.count, waitUs: 0 },
      { kind: 'again', cost: limit.count, waitUs: 0 },
    ] as const
    const { found } = await runHistories(redis, [{ policy, startUs: 1_800_000_000_000_000, steps, expires: true }])
    const results = found[0] as Found[]
    expect(results.map(([, allowed]) => allowed)).toEqual([1, 0, 1, 0, 1])
    expect(results.every(([, , ...rest]) => rest.every(Number.isSafeInteger))).toBe(true)
  })

  test('limits on a server that is full, by the allow-oom flag', async () => {
    const name = (file: string) => new URL(`./algorithm/${file}.lua`, import.meta.url)
    const [decide, refund] = [algorithm, `${algorithm}-refund`].map((file) => readFileSync(name(file), 'utf8'))
    const { numbers } = planFor({ algorithm })
    await redis.config('SET', 'maxmemory', '500kb') // less than an empty server needs
    try {
      await expect(redis.set('fill', 'x')).rejects.toThrow('OOM')
      const ask = (source = '') =>
        redis.eval(source, 1, `{${algorithm}}`, ...numbers, 2, 'check', 'c') as Promise<number[]>
      const [allowed, remaining, , , stampUs = 0] = await ask(decide)
      expect([allowed, remaining]).toEqual([1, 8])
      const keys = [`{${algorithm}}`, `{${algorithm}}:refund`]
      expect(await redis.eval(refund ?? '', 2, ...keys, ...numbers, 2, stampUs, 'c')).toBe(1)
    } finally {
      await redis.config('SET', 'maxmemory', '0')
    }
  })
})

test.each(['fixed-window', 'sliding-window-counter', 'sliding-window-log'] as const)(
  '%s refuses a burst of its own',
  (algorithm) => {
    expect(() => planFor({ algorithm, burst: 9 })).toThrow('no burst of its own')
  },
)

test('a log refuses more units than memory should hold', () => {
  expect(() => planFor({ algorithm: 'sliding-window-log', count: 10_001 })).toThrow('a member in memory')
})

test('a rate above a million per second is too fast for GCRA, and for the local share of any algorithm', () => {
  const fast = { count: 5_000, periodMs: 1 }
  expect(() => planFor({ algorithm: 'gcra', ...fast })).toThrow('too fast')
  for (const algorithm of ['token-bucket', 'fixed-window', 'sliding-window-counter'] as const) {
    planFor({ algorithm, ...fast })
    const keys = rateLimitKeys('t', 't', 'cache', { algorithm })
    const options = { keys, algorithm, limit: fast }
    createRateLimit({} as never, { ...options, onUnavailable: 'closed' })
    expect(() => createRateLimit({} as never, { ...options, onUnavailable: 'local' })).toThrow('too fast')
  }
})

test('a token has as many units as its refill needs to be exact, and whole microseconds where they are too many', () => {
  expect(tokenUnitsOf({ count: 300, periodMs: 60_000, burst: 300 })).toEqual({ unit: 200_000, refillPerUs: 1 })
  expect(tokenUnitsOf({ count: 7, periodMs: 1_000, burst: 7 })).toEqual({ unit: 1_000_000, refillPerUs: 7 })
  expect(tokenUnitsOf({ count: 5_000, periodMs: 1, burst: 1 })).toEqual({ unit: 1, refillPerUs: 5 })
  const odd = tokenUnitsOf({ count: 999_983, periodMs: maxPeriodMs, burst: 999_983 })
  expect(odd.refillPerUs).toBe(1)
  expect((odd.unit * 999_983) / (maxPeriodMs * 1_000) - 1).toBeLessThan(0.01)
})

test('the keys of several policies take the ids of the name before the id', () => {
  const keys = rateLimitKeys('gateway', 'cache:gcra:<policy>', 'cache')
  expect(keys.bucket.key('per-address', '203.0.113.7')).toBe('gateway:rate-limit:cache:gcra:per-address:{203.0.113.7}')
  expect(keys.refund.key('p', 'a', 'c1')).toBe('gateway:rate-limit:cache:gcra:p:{a}:refund:c1')
  expect(kinds.gcra.type).toBe(keys.bucket.type)
})
