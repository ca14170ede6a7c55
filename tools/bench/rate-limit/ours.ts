/** The limits of this repository, one algorithm each. */
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { createRateLimit, rateLimitKeys } from '@shop/redis-kit/rate-limit'
import type { Limiter, Limiting, Opening } from './limiter.ts'

export async function connectOurs(url: string): Promise<Redis> {
  const redis = connectRedis(url, { name: 'bench' })
  await whenReady(redis, 5_000)
  return redis
}

/** Throws at the first decision in which Redis had no part: it would be the fastest of all. */
export async function openOurs({ redisUrl, limit, space }: Opening): Promise<Limiter> {
  const redis = await connectOurs(redisUrl)
  const { check } = limitOn(redis, { limit, space })
  return {
    async take(id) {
      const { allowed, degraded } = await check(id)
      if (degraded) throw new Error('decided without Redis')
      return allowed
    },
    close: () => closeRedis(redis),
  }
}

export function limitOn(redis: Redis, { limit, space }: Omit<Opening, 'redisUrl'>) {
  return createRateLimit(redis, {
    keys: rateLimitKeys('bench', space, 'cache'),
    limit,
    burst: limit.count,
    onUnavailable: 'closed',
    // On a machine that is busy with others an answer may take longer than in production anybody should wait.
    deadlineMs: 2_000,
  })
}

export const ours: readonly Limiting[] = [
  { id: 'gcra', label: 'redis-kit/rate-limit, gcra', role: 'ours', open: openOurs },
]
