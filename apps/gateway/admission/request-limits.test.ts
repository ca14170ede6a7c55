/** Whose fault a refusal is: the caller's, or that of a Redis that does not decide. */

import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { createRateLimit, rateLimitKeys } from '@shop/redis-kit/rate-limit'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AppliedLimit } from './limit-set.ts'
import { createRequestLimits } from './request-limits.ts'

const server = await testRedis()
let present: Redis
let absent: Redis

beforeAll(async () => {
  const stopped = await startRedis()
  present = connectRedis(server.url, { name: 'test', commandTimeoutMs: 20_000 })
  absent = connectRedis(stopped.url, { name: 'test', commandTimeoutMs: 1_000 })
  await Promise.all([whenReady(present, 10_000), whenReady(absent, 10_000)])
  await stopped.stop()
})
afterAll(() => Promise.all([closeRedis(present), closeRedis(absent)]))

type OnUnavailable = 'open' | 'closed' | 'local'

/** A limit of one request, on a Redis that decides or on one that does not. */
function limitOn(redis: Redis, onUnavailable: OnUnavailable): AppliedLimit {
  const name = `${redis === absent ? 'absent' : 'present'}-${onUnavailable}`
  const rate = { count: 1, periodMs: 3_600_000 }
  const keys = rateLimitKeys(server.namespace(), name, 'cache')
  const limit = createRateLimit(redis, { keys, limit: rate, onUnavailable, maxKnownDenialMs: 0 })
  const policy = { name, algorithm: 'gcra', limit: rate, cost: 1, role: 'cache', onUnavailable } as const
  return { dimension: 'route', policy, limitOf: () => limit }
}

const used = (limit: AppliedLimit) => limit.limitOf(undefined).check('GET /')

test('a limit that is used up is of the caller', async () => {
  const limit = limitOn(present, 'closed')
  await used(limit)
  expect(await decide([limit])).toEqual([false, false])
})

test('a limit that fails closed is unavailable, beside limits that admit', async () => {
  const limits = [
    limitOn(present, 'closed'),
    limitOn(absent, 'closed'),
    limitOn(absent, 'open'),
    limitOn(absent, 'local'),
  ]
  expect(await decide(limits)).toEqual([false, true])
})

test('a limit that fails closed beside one that is used up: the caller has to wait in any case', async () => {
  const [closed, exceeded] = [limitOn(absent, 'closed'), limitOn(present, 'open')]
  await used(exceeded)
  expect(await decide([closed, exceeded])).toEqual([false, false])
})

test('the share of this process that is used up is of the caller', async () => {
  const limit = limitOn(absent, 'local')
  await used(limit)
  expect(await decide([limit])).toEqual([false, false])
})

test('what is admitted is available', async () => {
  expect(await decide([limitOn(absent, 'open'), limitOn(present, 'closed')])).toEqual([true, false])
})

async function decide(limits: AppliedLimit[]) {
  const { check } = createRequestLimits({ of: () => limits }, 'secret')
  const { allowed, isUnavailable } = await check('browse', { address: '203.0.113.7', route: 'GET /' })
  return [allowed, isUnavailable]
}
