/**
 * The catalog's cache while it is measured: nothing expires, because nobody else's entries do either, and the copies in memory
 * can be switched off, which in production nobody wants to.
 */
import { type Cache, type CacheOptions, createCache as create } from '@shop/redis-kit/cache'
import type { Redis } from '@shop/redis-kit/connection'

const withCopies = process.env.BENCH_COPIES === 'true'

export function createCache<Value>(redis: Redis, options: CacheOptions<Value>): Cache<Value> {
  const { ttlMs, staleMs = ttlMs, local, ...rest } = options
  // The same time altogether, which is what the keys' declaration allows, and all of it fresh.
  const freshMs = ttlMs + staleMs - 1_000
  return create(redis, {
    ...rest,
    ttlMs: freshMs,
    staleMs: 1_000,
    ...(local && withCopies && { local: { ...local, ttlMs: freshMs } }),
  })
}
