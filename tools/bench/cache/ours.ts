/** The cache of this repository, with and without copies in memory. */
import { type CacheOptions, cacheKeys, createCache } from '@shop/redis-kit/cache'
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '@shop/redis-kit/connection'
import type { Product } from '../harness/products.ts'
import type { Load, Reader } from './reading.ts'

const ttlMs = 3_600_000

export interface OursOptions {
  /** @default false */
  withCopies?: boolean
}

export async function openOurs(url: string, load: Load, { withCopies = false }: OursOptions = {}): Promise<Reader> {
  const redis = connectRedis(url, { name: 'bench' })
  const subscriber = withCopies ? connectSubscriber(url, { name: 'bench' }) : undefined
  await whenReady(redis, 5_000)
  const options: CacheOptions<Product> = {
    keys: cacheKeys('bench', withCopies ? 'copied' : 'product'),
    ttlMs,
    // On a machine that is busy with others an answer may take longer than in production anybody should wait.
    deadlineMs: 2_000,
    // The copies of the other contenders do not expire within the measurement either.
    ...(subscriber && { local: { subscriber, ttlMs } }),
  }
  const cache = createCache(redis, options)
  return {
    read: (sku) => cache.get(sku, () => load(sku)),
    async close() {
      await cache.close()
      await subscriber?.close()
      await closeRedis(redis)
    },
  }
}
