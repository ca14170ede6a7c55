/** A policy whose limit changes while two gateways run: one has the old limit, the other the new one. */
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { ALGORITHMS } from '@shop/redis-kit/rate-limit/algorithms'
import { createLog } from '@shop/service-kit/telemetry/log'
import { createMetrics } from '@shop/service-kit/telemetry/metrics'
import { watchRateLimits } from '@shop/service-kit/telemetry/rate-limit-metrics'
import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLimitOf } from './limit-of-policy.ts'

const count = 60
const old = { count, periodMs: 3_600_000 }
const changed = { count, periodMs: 86_400_000 }

const server = await startRedis()
let redis: Redis

beforeAll(async () => {
  redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 20_000 })
  await whenReady(redis, 10_000)
})
afterAll(async () => {
  await closeRedis(redis)
  await server.stop()
})

/** Limits of a process of its own, which knows no denial yet. */
function limitsOfGateway() {
  const surroundings = { service: 'gateway', instanceId: 'test' }
  const log = createLog({ ...surroundings, level: 'silent' })
  const watch = watchRateLimits({ log, metrics: createMetrics(surroundings) })
  return createLimitOf({ redis: { cache: redis, state: redis }, watch, instances: () => 1 })
}

test.each(ALGORITHMS)(
  '%s: gateways with the old and the new limit together admit no more than both limits',
  async (algorithm) => {
    const policy = { name: 'address', algorithm, limit: old, cost: 1, role: 'cache', onUnavailable: 'closed' } as const
    let admittedCount = 0
    for (let round = 0; round < 10; round += 1) {
      const [one, other] = [limitsOfGateway()(policy, old), limitsOfGateway()(policy, changed)]
      for (let i = 0; i < count; i += 1) {
        for (const limit of [one, other]) admittedCount += (await limit.check('203.0.113.7')).allowed ? 1 : 0
      }
    }
    // Of fixed windows, one hour may have ended meanwhile.
    expect(admittedCount).toBeLessThanOrEqual(algorithm === 'fixed-window' ? 3 * count : 2 * count + 1)
    expect(admittedCount).toBeGreaterThan(count)
  },
)
