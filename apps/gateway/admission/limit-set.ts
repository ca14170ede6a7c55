/**
 * The limits in force: made from the table of policies, and made anew where the table changes. A policy that stays the same keeps its
 * limit, and with it the denials and the local buckets that this process knows.
 */
import { isDeepStrictEqual } from 'node:util'
import type { RateLimit } from '@shop/redis-kit/rate-limit'
import type { Caller } from '../identity.ts'
import {
  type AppliedPolicy,
  type LimitPolicy,
  ownRate,
  type PerKeyRate,
  type PolicyStore,
  type PolicyTable,
  policiesOf,
} from '../limits/policy.ts'
import { perRouteClass, type RouteClass } from '../routes.ts'
import type { LimitOf } from './limit-of-policy.ts'

/** A policy with its limit; that of an API key has one for each quota. */
export interface AppliedLimit extends AppliedPolicy {
  limitOf(caller: Caller | undefined): RateLimit
}

export interface LimitSet {
  of(routeClass: RouteClass): readonly AppliedLimit[]
}

/** Quotas in use at once. The limit of one more replaces the oldest, which is made again when it is needed. */
const MAX_QUOTAS = 1_000

export function createLimitSet(store: Pick<PolicyStore, 'current' | 'onChange'>, limitOf: LimitOf): LimitSet {
  let inForce = new Map<string, AppliedLimit>()
  let ofClasses = assign(store.current())
  store.onChange((table) => {
    ofClasses = assign(table)
  })
  return { of: (routeClass) => ofClasses[routeClass] }

  function assign(table: PolicyTable) {
    const next = new Map<string, AppliedLimit>()
    const assigned = perRouteClass((routeClass) => {
      return policiesOf(table, routeClass).map((one) => {
        const applied = next.get(one.policy.name) ?? unchanged(one) ?? apply(one, limitOf)
        next.set(one.policy.name, applied)
        return applied
      })
    })
    inForce = next
    return assigned
  }

  function unchanged({ dimension, policy }: AppliedPolicy): AppliedLimit | undefined {
    const known = inForce.get(policy.name)
    return known?.dimension === dimension && isDeepStrictEqual(known.policy, policy) ? known : undefined
  }
}

function apply({ dimension, policy }: AppliedPolicy, limitOf: LimitOf): AppliedLimit {
  const { limit: rate } = policy
  if ('perKey' in rate) return { dimension, policy, limitOf: quotaLimits(policy, rate, limitOf) }
  const limit = limitOf(policy, rate)
  return { dimension, policy, limitOf: () => limit }
}

/** Keys of one quota share a limit, in which each has an id of its own. */
function quotaLimits(policy: LimitPolicy, own: PerKeyRate, limitOf: LimitOf): AppliedLimit['limitOf'] {
  const limits = new Map<number, RateLimit>()
  return (caller) => {
    // Asked for callers with a key: to others the dimension does not apply.
    if (!caller?.apiKey) throw new TypeError('a quota per key needs a key')
    const rate = ownRate(own, caller.apiKey)
    const limit = limits.get(rate.count) ?? limitOf(policy, rate)
    if (limits.size >= MAX_QUOTAS && !limits.has(rate.count)) limits.delete(limits.keys().next().value as number)
    limits.set(rate.count, limit)
    return limit
  }
}
