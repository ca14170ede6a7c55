/** What a process knows of denials, compared with Redis itself. */
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
import { createRateLimit, type RateLimitOptions, rateLimitKeys } from './rate-limit.ts'

const server = await testRedis()

async function connect() {
  const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 20_000 })
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
    const slow = { count: 4, periodMs: 12 * 60 * 60 * 1000 }
    const [knowing, asking] = twoProcesses(await connect(), algorithm, { limit: slow, maxKnownDenialMs: 300 })
    await knowing.check('a', 4)
    const askedMs = performance.now()
    expect((await knowing.check('a')).allowed).toBe(false)
    await asking.reset('a')
    await expect.poll(async () => (await knowing.check('a')).allowed, { interval: 5, timeout: 15_000 }).toBe(true)
    expect(performance.now() - askedMs).toBeGreaterThanOrEqual(300)
  },
)
