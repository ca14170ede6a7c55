/** The first decision of a process, after a warm-up. */
import { randomUUID } from 'node:crypto'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis as Plain } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis } from '../connection/connection.ts'
import { ALGORITHMS } from './algorithms.ts'
import { createRateLimit, rateLimitKeys } from './rate-limit.ts'
import { warmUp } from './warm-up.ts'

async function setUp() {
  const server = await startRedis()
  onTestFinished(server.stop)
  const proxy = await startFaultProxy({ port: server.port })
  onTestFinished(proxy.stop)
  const direct = new Plain(server.url)
  onTestFinished(() => direct.disconnect())
  return { proxy, direct }
}

/** Not connected yet. */
function coldRedis(url: string) {
  const redis = connectRedis(url, { name: 'test' })
  onTestFinished(() => closeRedis(redis))
  return redis
}

const keysOf = (algorithm: (typeof ALGORITHMS)[number]) =>
  rateLimitKeys(`test-${randomUUID()}`, 'cold', 'state', { algorithm })

test.each(ALGORITHMS)(
  '%s: slow first answers end before the first decision, which sends no script; no key is left',
  async (algorithm) => {
    const { proxy, direct } = await setUp()
    proxy.delay(100)
    const redis = coldRedis(proxy.url)
    const keys = keysOf(algorithm)
    await warmUp([{ redis, keys, algorithm }], 20_000)
    proxy.delay(0)
    expect(await direct.dbsize()).toBe(0)
    await direct.config('RESETSTAT')
    const limit = createRateLimit(redis, {
      keys,
      algorithm,
      limit: { count: 5, periodMs: 60_000 },
      onUnavailable: 'closed',
      deadlineMs: 20_000,
    })
    expect(await limit.check('a')).toMatchObject({ allowed: true, degraded: false, remaining: 4 })
    const stats = await direct.info('commandstats')
    expect(stats).toMatch(/cmdstat_evalsha:calls=1,.*failed_calls=0/)
    expect(stats).not.toContain('cmdstat_eval:')
  },
)

test('a Redis that is away ends the wait at the deadline, and is no error', async () => {
  const { proxy } = await setUp()
  proxy.blackHole()
  const silent = coldRedis(proxy.url)
  const refused = await startFaultProxy({ port: proxy.port })
  onTestFinished(refused.stop)
  await refused.refuse()
  const limits = [silent, coldRedis(refused.url)].map((redis) => ({ redis, keys: keysOf('gcra') }))
  expect(await warmUp(limits, 100)).toBeUndefined()
})

test('keys of another algorithm are a mistake', async () => {
  const { proxy } = await setUp()
  const cold = { redis: coldRedis(proxy.url), keys: keysOf('gcra'), algorithm: 'token-bucket' } as const
  await expect(warmUp([cold])).rejects.toThrow('token-bucket needs a hash')
})
