/** How fast events go through a stream, beside bare commands and BullMQ. */
import { startRedis } from '@shop/test-kit/redis-server'
import { redisVersion } from '../harness/servers.ts'
import type { Suite } from '../harness/suite.ts'
import { consume } from './consume.ts'
import type { Servers } from './context.ts'
import { memory } from './memory.ts'
import { publish } from './publish.ts'

export const suite: Suite<Servers> = {
  name: 'stream',
  title: 'Stream: publishing, consuming, memory',
  packages: ['ioredis', 'bullmq'],
  async setUp() {
    const redis = await startRedis({ config: { 'maxmemory-policy': 'noeviction' } })
    const versions = { redis: await redisVersion(redis.url) }
    return { context: { redisUrl: redis.url }, versions, tearDown: () => redis.stop() }
  },
  tables: [publish, consume, memory],
}
