/** How fast the cache is beside bare clients and the cache libraries of Node. */
import { startRedis } from '@shop/test-kit/redis-server'
import { redisVersion } from '../harness/servers.ts'
import type { Suite } from '../harness/suite.ts'
import type { Servers } from './context.ts'
import { localHit } from './local-hit.ts'
import { redisHit } from './redis-hit.ts'
import { stampede } from './stampede.ts'

export const suite: Suite<Servers> = {
  name: 'cache',
  title: 'Cache: hits, copies in memory, stampedes',
  packages: [
    'ioredis',
    '@redis/client',
    'iovalkey',
    'async-cache-dedupe',
    'bentocache',
    'cacheable',
    'cache-manager',
    '@keyv/redis',
    'lru-cache',
  ],
  async setUp() {
    const redis = await startRedis()
    const versions = { redis: await redisVersion(redis.url) }
    return { context: { redisUrl: redis.url }, versions, tearDown: () => redis.stop() }
  },
  tables: [redisHit, localHit, stampede],
}
