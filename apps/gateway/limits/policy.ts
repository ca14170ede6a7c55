/**
 * The table of limits: which policies hold for a class of routes, per dimension (who or what is counted). policies.yaml is its source;
 * an administrator's overrides replace the numbers of single policies. Everything here is data and lookups, without Redis.
 */
import type { ApiKeyQuota } from '@shop/contracts/api-key'
import type { Rate } from '@shop/redis-kit/rate-limit'
import type { Algorithm } from '@shop/redis-kit/rate-limit/algorithms'
import type { RouteClass } from '../routes.ts'

export const roles = ['cache', 'state'] as const
export const failPolicies = ['open', 'closed', 'local'] as const

/**
 * Whose requests are counted together. `address`: an IPv4 address or an IPv6 /64. `session`: the handle of a sign-in. `route`: the route of
 * all callers, to protect what is behind it.
 */
export const dimensionNames = ['address', 'user', 'session', 'api-key', 'route'] as const
export type DimensionName = (typeof dimensionNames)[number]

/** The count is a property of the API key: its own quota. */
export interface PerKeyRate {
  perKey: 'minute' | 'day'
}

/** The quota of a key as a rate. */
export function ownRate({ perKey }: PerKeyRate, { perMinute, perDay }: ApiKeyQuota): Rate {
  return perKey === 'day' ? { count: perDay, periodMs: 86_400_000 } : { count: perMinute, periodMs: 60_000 }
}

export interface LimitPolicy {
  /** Unique in the table: in keys, headers, metrics, and the path of its override. */
  name: string
  algorithm: Algorithm
  limit: Rate | PerKeyRate
  /** For gcra and token-bucket. @default the count of the limit */
  burst?: number
  /** The Redis that counts: `cache` for throttles that may be lost, `state` for security. */
  role: (typeof roles)[number]
  onUnavailable: (typeof failPolicies)[number]
  /** What one request takes. @default 1 */
  cost?: number
}

export interface PolicyRule {
  routes: readonly RouteClass[] | 'all'
  dimension: DimensionName
  policies: readonly LimitPolicy[]
}

export interface Bulkhead {
  routes: readonly RouteClass[] | 'all'
  /** Requests under way in one instance of the gateway. */
  maxConcurrent: number
  maxConcurrentPerAddress: number
  bodyMaxBytes: number
}

/** The table as its file has it. */
export interface PolicySource {
  rules: readonly PolicyRule[]
  bulkheads: readonly Bulkhead[]
  maxConnectionsPerAddress: number
}

export interface PolicyTable extends PolicySource {
  /** Equal in two instances that have the same table in force: a digest of it. */
  version: string
}

/** The table in force in this process. It is replaced as a whole and never changed. */
export interface PolicyStore {
  current(): PolicyTable
  /** @returns the way to stop listening */
  onChange(listener: (table: PolicyTable) => void): () => void
  /** Reads the file again. With problems in it the table stays, and the log names each line. */
  reload(): Promise<void>
}

export interface AppliedPolicy {
  dimension: DimensionName
  policy: LimitPolicy
}

/** All policies of a class: per dimension those of the first rule that contains it. The order is that of the table. */
export function policiesOf({ rules }: Pick<PolicyTable, 'rules'>, routeClass: RouteClass): readonly AppliedPolicy[] {
  const matched = new Set<DimensionName>()
  return rules.flatMap(({ routes, dimension, policies }) => {
    if (matched.has(dimension) || !contains(routes, routeClass)) return []
    matched.add(dimension)
    return policies.map((policy) => ({ dimension, policy }))
  })
}

/** The first bulkhead that contains the class. A valid table has one for every class. */
export function bulkheadOf({ bulkheads }: Pick<PolicyTable, 'bulkheads'>, routeClass: RouteClass): Bulkhead {
  const found = bulkheads.find(({ routes }) => contains(routes, routeClass))
  if (found === undefined) throw new TypeError(`no bulkhead for ${routeClass}`)
  return found
}

function contains(routes: PolicyRule['routes'], routeClass: RouteClass): boolean {
  return routes === 'all' || routes.includes(routeClass)
}
