/** The limiters of Node that keep their counts in Redis, each as its documentation says, over a plain connection of ioredis. */
import type { Redis } from 'ioredis'
import { connectCorked, connectPlain } from '../harness/plain-redis.ts'
import type { Limiter, Limiting, Opening } from './limiter.ts'

/** Without its plugin, which needs a request: the store decides nothing but the comparison. */
async function openFastify(redis: Redis, { limit, space }: Opening): Promise<Limiter> {
  const { default: RedisStore } = await import('@fastify/rate-limit/store/RedisStore.js')
  const store = new RedisStore(false, false, redis, `${space}:`)
  const count = (id: string) =>
    new Promise<number>((resolve, reject) => {
      store.incr(id, (error, found) => (found ? resolve(found.current) : reject(error)), limit.periodMs, limit.count)
    })
  return { take: async (id) => (await count(id)) <= limit.count, close: () => redis.quit() }
}

/** As express-rate-limit calls it: `init` once, `increment` for each request, and the comparison. */
async function openExpress({ redisUrl, limit, space }: Opening): Promise<Limiter> {
  const { RedisStore } = await import('rate-limit-redis')
  const redis = connectPlain(redisUrl)
  const store = new RedisStore({
    prefix: `${space}:`,
    sendCommand: async (command: string, ...args: string[]) => (await redis.call(command, ...args)) as Reply,
  })
  await store.init({ windowMs: limit.periodMs } as never) // it reads no other of express-rate-limit's options
  return {
    take: async (id) => (await store.increment(id)).totalHits <= limit.count,
    close: () => redis.quit(),
  }
}

type Reply = number | string | (number | string)[]

/** It rejects when it denies, with the result; an error is an Error. With `isBlocking`, who used all is denied in this process. */
async function openFlexible({ redisUrl, limit, space }: Opening, isBlocking = false): Promise<Limiter> {
  const { RateLimiterRedis } = await import('rate-limiter-flexible')
  const redis = connectPlain(redisUrl)
  const { take } = flexibleOn(
    new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: space,
      points: limit.count,
      duration: limit.periodMs / 1000,
      ...(isBlocking && { inMemoryBlockOnConsumed: limit.count + 1 }),
    }),
  )
  return { take, close: () => redis.quit() }
}

function flexibleOn(limiter: { consume(id: string): Promise<unknown> }) {
  const denied = (reason: unknown) => {
    if (reason instanceof Error) throw reason
    return false
  }
  return { take: (id: string) => limiter.consume(id).then(() => true, denied) }
}

export const upstashAlgorithms = ['fixedWindow', 'slidingWindow', 'tokenBucket'] as const

/** Its answer "admitted, for Redis took too long" is an error here. */
async function openUpstash(opening: Opening, algorithm: (typeof upstashAlgorithms)[number]): Promise<Limiter> {
  const { Ratelimit } = await import('@upstash/ratelimit')
  const { upstashOver } = await import('./upstash-redis.ts')
  const { redisUrl, space: prefix, limit } = opening
  const { count, periodMs } = limit
  const redis = connectPlain(redisUrl)
  const limiter =
    algorithm === 'tokenBucket'
      ? Ratelimit.tokenBucket(1, `${periodMs / count} ms`, count)
      : Ratelimit[algorithm](count, `${periodMs} ms`)
  const { limit: ask } = new Ratelimit({ redis: upstashOver(redis) as never, prefix, limiter })
  return {
    async take(id) {
      const { success, reason } = await ask(id)
      if (reason === 'timeout') throw new Error('admitted without Redis')
      return success
    },
    close: () => redis.quit(),
  }
}

export const fastify: Limiting = {
  id: 'fastify',
  label: '@fastify/rate-limit, its store',
  role: 'peer',
  open: (opening) => openFastify(connectPlain(opening.redisUrl), opening),
}

/** Separates the gain of corking from the cost of the algorithm. No documentation of the library leads to this. */
export const fastifyCorked: Limiting = {
  id: 'fastify-corked',
  label: '@fastify/rate-limit, its store, corked',
  role: 'control',
  open: (opening) => openFastify(connectCorked(opening.redisUrl), opening),
}

export const express: Limiting = { id: 'express', label: 'rate-limit-redis', role: 'peer', open: openExpress }

export const flexible: Limiting = {
  id: 'flexible',
  label: 'rate-limiter-flexible',
  role: 'peer',
  open: (opening) => openFlexible(opening),
}

export const flexibleBlocking: Limiting = {
  id: 'flexible-blocking',
  label: 'rate-limiter-flexible, blocking in memory',
  role: 'peer',
  open: (opening) => openFlexible(opening, true),
}

const upstashLabels = { fixedWindow: 'fixed window', slidingWindow: 'sliding window', tokenBucket: 'token bucket' }

export const upstash: readonly Limiting[] = upstashAlgorithms.map((algorithm) => ({
  id: `upstash-${algorithm}`,
  label: `@upstash/ratelimit, ${upstashLabels[algorithm]}`,
  role: 'peer',
  open: (opening: Opening) => openUpstash(opening, algorithm),
}))

export const peers: readonly Limiting[] = [fastify, express, flexible, ...upstash]
