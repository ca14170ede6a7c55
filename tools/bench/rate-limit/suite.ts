/** The cost of a decision beside a bare script and the limiters of Node, the memory that it keeps, and the clock that it trusts. */
import { startRedis } from '@shop/test-kit/redis-server'
import { redisVersion } from '../harness/servers.ts'
import type { Suite } from '../harness/suite.ts'
import { clock } from './clock.ts'
import { decision } from './decision.ts'
import { denied } from './denied.ts'
import { joint } from './joint.ts'
import type { Servers } from './limiter.ts'
import { memory } from './memory.ts'

export const suite: Suite<Servers> = {
  name: 'rate-limit',
  title: 'Rate limit: decisions, denials, memory, clocks',
  packages: [
    'ioredis',
    '@fastify/rate-limit',
    'rate-limit-redis',
    'express-rate-limit',
    'rate-limiter-flexible',
    '@upstash/ratelimit',
  ],
  async setUp() {
    const redis = await startRedis()
    const versions = { redis: await redisVersion(redis.url) }
    return { context: { redisUrl: redis.url }, versions, tearDown: () => redis.stop() }
  },
  tables: [decision, denied, joint, memory, clock],
}
