/** What a process knows of denials, compared with Redis itself. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
import { createRateLimits } from './dimensions.ts'
import { createRateLimit, type RateLimit, type RateLimitOptions, rateLimitKeys } from './rate-limit.ts'

const server = await testRedis()

/** Nothing comes back while a test runs. */
const slow = { count: 4, periodMs: 12 * 60 * 60 * 1000 }

async function connect(url = server.url) {
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 20_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}

/** Processes that share a limit: one knows its denials, the other one asks Redis each time. */
function twoProcesses(redis: Redis, algorithm: Algorithm, options: Partial<RateLimitOptions>) {
  const keys = rateLimitKeys(server.namespace(), 'test', 'cache', { algorithm })
  const limit = { count: 4, periodMs: 300 }
  const all = { keys, algorithm, limit, onUnavailable: 'closed', deadlineMs: 20_000, ...options } as const
  return [createRateLimit(redis, all), createRateLimit(redis, { ...all, maxKnownDenialMs: 0 })] as const
}

test.each(ALGORITHMS)('%s: no known denial outlasts the denial by Redis, for any cost', async (algorithm) => {
  const [knowing, asking] = twoProcesses(await connect(), algorithm, { maxKnownDenialMs: 60_000 })
  let knownCount = 0
  for (let round = 0; round < 8; round++) {
    const cost = 1 + (round % 4)
    // Together: a slow machine may take longer for one than the limit takes to refill.
    const exhaust = () => Promise.all(Array.from({ length: 8 }, () => knowing.check('a', cost)))
    while ((await exhaust()).every(({ allowed }) => allowed));
    for (let isOver = false; !isOver; ) {
      for (const other of [cost, 4]) {
        if (knowing.knownDenial('a', other)) knownCount += 1
        // Redis admitted before its answer came. So a denial that is known after the answer has lasted too long.
        const { allowed } = await asking.peek('a', other)
        if (allowed) expect(knowing.knownDenial('a', other), `cost ${other} after ${cost}`).toBeUndefined()
        isOver ||= allowed && other === cost
      }
    }
  }
  expect(knownCount).toBeGreaterThan(0)
})

test.each(ALGORITHMS)(
  '%s: a reset elsewhere is seen when the denial has reached its longest age',
  async (algorithm) => {
    const [knowing, asking] = twoProcesses(await connect(), algorithm, { limit: slow, maxKnownDenialMs: 300 })
    await knowing.check('a', 4)
    const askedMs = performance.now()
    expect((await knowing.check('a')).allowed).toBe(false)
    await asking.reset('a')
    await expect.poll(async () => (await knowing.check('a')).allowed, { interval: 5, timeout: 15_000 }).toBe(true)
    expect(performance.now() - askedMs).toBeGreaterThanOrEqual(300)
  },
)

describe('a flood of 50 callers', () => {
  const joint = createRateLimits({ deadlineMs: 20_000 })
  const ways = [
    ['check', (limit: RateLimit) => limit.check('a')],
    ['createRateLimits', (limit: RateLimit) => joint.check([{ name: 'a', limit, id: 'a' }])],
  ] as const

  /** All ask again and again until `isOver`. Resolves with how often they were admitted. */
  async function flood(ask: () => Promise<{ allowed: boolean }>, isOver: (admittedCount: number) => boolean) {
    let admittedCount = 0
    const caller = async () => {
      while (!isOver(admittedCount)) {
        if ((await ask()).allowed) admittedCount += 1
        await nextTurn() // answers of Redis are read meanwhile
      }
    }
    await Promise.all(Array.from({ length: 50 }, caller))
    return admittedCount
  }

  test.each(ways)('by %s asks Redis once per longest age of a denial, and sees a reset elsewhere', async (_, ask) => {
    const own = await startRedis()
    onTestFinished(own.stop)
    const redis = await connect(own.url)
    const [knowing, asking] = twoProcesses(redis, 'gcra', { limit: slow, maxKnownDenialMs: 1_000 })
    await knowing.check('a', 4)
    const startedMs = performance.now()
    expect((await ask(knowing)).allowed).toBe(false)
    const askedBefore = await questionCount(redis)
    const admittedCount = await flood(
      () => ask(knowing),
      () => performance.now() - startedMs > 3_500,
    )
    const askedCount = (await questionCount(redis)) - askedBefore
    expect(admittedCount).toBe(0)
    expect(askedCount).toBeGreaterThanOrEqual(1)
    expect(askedCount).toBeLessThanOrEqual(Math.floor((performance.now() - startedMs) / 1_000))
    await asking.reset('a')
    const giveUpMs = performance.now() + 15_000
    const isOver = (count: number) => count > 0 || performance.now() > giveUpMs
    expect(await flood(() => ask(knowing), isOver)).toBeGreaterThan(0)
  })
})

test('while one call asks Redis again, the others are denied by memory, until its deadline', async () => {
  const proxy = await startFaultProxy({ port: Number(new URL(server.url).port) })
  onTestFinished(proxy.stop)
  const redis = await connect(proxy.via(server.url))
  const [knowing] = twoProcesses(redis, 'gcra', { limit: slow, maxKnownDenialMs: 200 })
  await knowing.check('a', 4)
  await knowing.check('a')
  await expect.poll(() => knowing.knownDenial('a'), { interval: 5, timeout: 15_000 }).toBeUndefined()
  const release = proxy.hold()
  const question = knowing.check('a', 1, 1_000)
  proxy.resetCounters()
  const others = Array.from({ length: 50 }, () => knowing.check('a'))
  expect(await Promise.all(others)).toEqual(
    others.map(() => expect.objectContaining({ allowed: false, degraded: false })),
  )
  expect(proxy.counters().packetsToServer).toBeLessThanOrEqual(1)
  expect(await question).toMatchObject({ degraded: true })
  expect(knowing.knownDenial('a')).toBeUndefined()
  release()
})

/** Scripts that the server has run. */
async function questionCount(redis: Redis): Promise<number> {
  const stats = await redis.info('commandstats')
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}
