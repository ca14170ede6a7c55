/** The rules for a policy, whether it comes from the file or from an administrator's override. */
import { maxApiKeyQuota } from '@shop/contracts/api-key'
import { maxLimitCount } from '@shop/contracts/limits'
import type { Rate } from '@shop/redis-kit/rate-limit'
import { MAX_PERIOD_MS, planOf } from '@shop/redis-kit/rate-limit/algorithms'
import { keys } from '../keys.ts'
import { type DimensionName, type LimitPolicy, ownRate, type PerKeyRate } from './policy.ts'

/** Algorithms with a burst of their own, refilled steadily; the burst of a window is its count. */
export const burstAlgorithms: readonly string[] = ['gcra', 'token-bucket']

/** Part of a Redis key, and a string of a structured header field. */
export const policyNamePattern = '^[a-z][a-z0-9-]{0,39}$'

export interface PolicyProblem {
  field: Exclude<keyof LimitPolicy, 'role' | 'onUnavailable' | 'algorithm'>
  reason: string
}

/** Every contradiction of a policy whose fields have the right types. */
export function problemsOf(policy: LimitPolicy, dimension: DimensionName): PolicyProblem[] {
  const { name, limit, cost = 1 } = policy
  const problems: PolicyProblem[] = []
  const add = (field: PolicyProblem['field'], reason: string | undefined | false) => {
    if (reason) problems.push({ field, reason })
  }
  add('name', nameProblem(name))
  add('cost', wholeProblem('cost', cost))
  if (isPerKey(limit)) {
    add('limit', dimension !== 'api-key' && `only an api-key has an own quota, not the dimension ${dimension}`)
    add('burst', policy.burst !== undefined && 'burst cannot be set beside an own quota, which differs per key')
    add('cost', cost > 1 && 'cost cannot be set beside an own quota, which counts requests')
    if (problems.length === 0) add('limit', quotaProblem(limit, policy))
    return problems
  }
  add('limit', rateProblem(limit))
  add('burst', burstProblem(policy))
  if (problems.length > 0) return problems
  const room = policy.burst ?? limit.count
  const named = policy.burst === undefined ? 'the limit' : 'burst'
  add(
    policy.burst === undefined ? 'limit' : 'burst',
    cost > room && `${named} ${room} is below cost ${cost}: never admitted`,
  )
  add('limit', unkeptProblem(limit, policy))
  return problems
}

export function isPerKey(limit: Rate | PerKeyRate): limit is PerKeyRate {
  return 'perKey' in limit
}

function nameProblem(name: string) {
  if (!new RegExp(policyNamePattern).test(name)) {
    return `name ${quoted(name)} must be 1 to 40 lower-case letters, digits and hyphens, and begin with a letter`
  }
  // The header announces the burst of "address" as "address-burst".
  return (
    name.endsWith('-burst') && `name ${quoted(name)} must not end with -burst, which names a policy's burst in headers`
  )
}

function rateProblem({ count, periodMs }: Rate) {
  const ofCount = wholeProblem('the count of the limit', count)
  if (ofCount) return ofCount
  if (!(periodMs <= MAX_PERIOD_MS)) return 'the period of the limit must be at most 366d'
  if (periodMs < 1) return 'the period of the limit must be at least 1ms'
  return !Number.isSafeInteger(periodMs) && 'the period of the limit must be a whole number of milliseconds'
}

function burstProblem({ algorithm, burst }: LimitPolicy) {
  if (burst === undefined) return undefined
  if (!burstAlgorithms.includes(algorithm)) {
    return `burst is for ${burstAlgorithms.join(' and ')}: a ${algorithm} has none besides its count`
  }
  return wholeProblem('burst', burst)
}

/** A rate that the algorithm cannot count exactly enough, or would have to remember for longer than its keys may live. */
function unkeptProblem(limit: Rate, { algorithm, role, onUnavailable, burst = limit.count }: LimitPolicy) {
  try {
    planOf({ ...limit, burst, algorithm }, keys.limits[role][algorithm].bucket, onUnavailable)
    return undefined
  } catch (error) {
    if (error instanceof RangeError) return error.message
    throw error
  }
}

/** The policy has to hold for every key that may be issued. */
function quotaProblem(own: PerKeyRate, policy: LimitPolicy) {
  const largest = ownRate(own, maxApiKeyQuota)
  const reason = unkeptProblem(largest, policy)
  return reason && `a key may have ${largest.count} per ${own.perKey}: ${reason}`
}

function wholeProblem(what: string, value: number) {
  if (!(Number.isSafeInteger(value) && value >= 1)) return `${what} must be a whole number of at least 1, not ${value}`
  return value > maxLimitCount && `${what} must be at most ${maxLimitCount}, not ${value}`
}

export function quoted(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 60))
}
