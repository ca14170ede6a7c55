/** One policy as a limit on the Redis that it names, seen in metrics and in health. */
import type { Redis } from '@shop/redis-kit/connection'
import { createRateLimit, type Rate, type RateLimit } from '@shop/redis-kit/rate-limit'
import { warmUp } from '@shop/redis-kit/rate-limit/warm-up'
import type { RateLimitWatch } from '@shop/service-kit/telemetry/rate-limit-metrics'
import { keys } from '../keys.ts'
import type { LimitPolicy, PolicyTable } from '../limits/policy.ts'

type RedisOfRole = Record<LimitPolicy['role'], Redis>

interface Dependencies {
  redis: RedisOfRole
  watch: RateLimitWatch
  /** How many gateways share the limits. */
  instances: () => number
}

/** @param rate the policy's own, or the quota of an API key */
export type LimitOf = (policy: LimitPolicy, rate: Rate) => RateLimit

export function createLimitOf({ redis, watch, instances }: Dependencies): LimitOf {
  return function limitOf({ name, algorithm, burst, role, onUnavailable }, limit) {
    const rateLimit = createRateLimit(redis[role], {
      keys: keys.limits[role][algorithm],
      prefix: [counterName(name, limit, burst ?? limit.count)],
      algorithm,
      limit,
      burst: burst ?? limit.count,
      onUnavailable,
      instances,
      onDegraded: watch.onDegraded(name),
    })
    return watch.watch(name, rateLimit)
  }
}

/**
 * The numbers of a limit are part of its key. Gateways with different tables, as in a rollout, then count apart, and what they admit
 * together is bounded. On one key each would repair what the other has written: "One limit per key" in redis-kit/rate-limit/README.md.
 */
function counterName(name: string, { count, periodMs }: Rate, burst: number): string {
  return `${name}@${count}-${periodMs}-${burst}`
}

/** Before the first request: the scripts of the table, each on the Redis that counts. Resolves in two seconds, with Redis or without. */
export function warmUpLimits({ rules }: Pick<PolicyTable, 'rules'>, redis: RedisOfRole): Promise<void> {
  const policies = rules.flatMap((rule) => rule.policies)
  return warmUp(
    policies.map(({ name, role, algorithm }) => {
      return { redis: redis[role], keys: keys.limits[role][algorithm], prefix: [name], algorithm }
    }),
  )
}
