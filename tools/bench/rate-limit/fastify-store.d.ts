/** The file that @fastify/rate-limit uses when it is given a client of Redis. It has no types of its own. */
declare module '@fastify/rate-limit/store/RedisStore.js' {
  import type { Redis } from 'ioredis'

  type Done = (error: Error | null, found: { current: number; ttl: number } | null) => void

  export default class RedisStore {
    constructor(continueExceeding: boolean, exponentialBackoff: boolean, redis: Redis, prefix: string)
    incr(key: string, done: Done, timeWindowMs: number, max: number): void
  }
}
