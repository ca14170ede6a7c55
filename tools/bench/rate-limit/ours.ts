/** The limits of this repository, one algorithm each. */
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { type Algorithm, createRateLimit, type RateLimit, rateLimitKeys } from '@shop/redis-kit/rate-limit'
import { ALGORITHMS } from '@shop/redis-kit/rate-limit/algorithms'
import type { Limiter, Limiting, Opening } from './limiter.ts'

export async function connectOurs(url: string): Promise<Redis> {
  const redis = connectRedis(url, { name: 'bench' })
  await whenReady(redis, 5_000)
  return redis
}

/** Throws at the first decision in which Redis had no part: it would be the fastest of all. */
async function open(algorithm: Algorithm, { redisUrl, limit, space }: Opening): Promise<Limiter> {
  const redis = await connectOurs(redisUrl)
  const { check } = limitOn(redis, { algorithm, limit, space })
  return {
    async take(id) {
      const { allowed, degraded } = await check(id)
      if (degraded) throw new Error('decided without Redis')
      return allowed
    },
    close: () => closeRedis(redis),
  }
}

export function limitOn(
  redis: Redis,
  { algorithm, limit, space }: Omit<Opening, 'redisUrl'> & { algorithm: Algorithm },
): RateLimit {
  return createRateLimit(redis, {
    keys: rateLimitKeys('bench', space, 'cache', { algorithm }),
    algorithm,
    limit,
    onUnavailable: 'closed',
    // On a busy machine an answer may take longer than a request should wait in production.
    deadlineMs: 2_000,
  })
}

export const ours: readonly Limiting[] = ALGORITHMS.map((algorithm) => ({
  id: algorithm,
  label: `redis-kit/rate-limit, ${algorithm}`,
  role: 'ours',
  open: (opening: Opening) => open(algorithm, opening),
}))
