/** The table of the file with the overrides on top: pure, and the same in every instance. */
import type { LimitValues } from '@shop/contracts/limits'
import type { RouteClass } from '../../routes.ts'
import { type AppliedPolicy, type LimitPolicy, type PolicySource, policiesOf } from '../policy.ts'
import { burstAlgorithms, isPerKey, type PolicyProblem, problemsOf } from '../policy-rules.ts'
import type { SoundOverride, StoredOverride } from './overrides.ts'

/** What an override leaves the classes of routes that are needed to undo it. */
const needed = [
  {
    routeClass: 'admin',
    perHour: 600,
    burst: 10,
    says: 'administrators are limited by this policy: leave them 10 requests per minute and a burst of 10',
  },
  // Low enough for a defence against guesses of passwords.
  {
    routeClass: 'sign-in',
    perHour: 1,
    burst: 1,
    says: 'administrators sign in under this policy: leave 1 request per hour',
  },
] as const

/** The longest window over such a class: a window that is used up admits no administrator until its end. */
const longestWindowMs = 86_400_000

export interface Effective {
  source: PolicySource
  /** By policy: the override in force. */
  applied: ReadonlyMap<string, SoundOverride>
  unused: readonly { policy: string; revision: string; reason: string }[]
}

export function withOverrides(source: PolicySource, stored: readonly StoredOverride[]): Effective {
  const policies = new Map(allPolicies(source).map((one) => [one.policy.name, one]))
  const applied = new Map<string, SoundOverride>()
  const changed = new Map<LimitPolicy, LimitPolicy>()
  const unused: { policy: string; revision: string; reason: string }[] = []
  for (const override of stored) {
    const known = policies.get(override.policy)
    const reason = reasonAgainst(source, known, override)
    if (reason === undefined && known !== undefined && override.problem === undefined) {
      applied.set(override.policy, override)
      changed.set(known.policy, overridden(known.policy, override.values))
    } else {
      unused.push({ policy: override.policy, revision: override.revision, reason: reason ?? 'unknown policy' })
    }
  }
  const rules = source.rules.map((rule) => ({
    ...rule,
    policies: rule.policies.map((policy) => changed.get(policy) ?? policy),
  }))
  return { source: { ...source, rules }, applied, unused }
}

function reasonAgainst(source: PolicySource, known: AppliedPolicy | undefined, override: StoredOverride) {
  if (known === undefined) return 'the file has no policy of this name'
  if (override.problem !== undefined) return override.problem
  return problemsOfOverride(source, known, override.values)[0]?.reason
}

/** Every contradiction of these values in this table, with the field to blame. */
export function problemsOfOverride(
  source: PolicySource,
  { dimension, policy }: AppliedPolicy,
  values: LimitValues,
): PolicyProblem[] {
  if (isPerKey(policy.limit)) {
    return [{ field: 'limit', reason: 'the count of this policy is a property of each API key: change it there' }]
  }
  const next = overridden(policy, values)
  const problems = problemsOf(next, dimension)
  if (problems.length > 0 || dimension === 'api-key') return problems
  const short = needed.find((need) => isBelow(need, next) && limits(source, need.routeClass, policy))
  const least = short && `${short.says} at least, in a window of a day at most`
  if (least) return [{ field: 'limit', reason: `${least}, or none of them can change it back` }]
  return problems
}

/** Absent fields are as in the file, but for the burst: it belongs to the limit, and so is that of the limit. */
export function overridden({ burst: _fileBurst, ...policy }: LimitPolicy, values: LimitValues): LimitPolicy {
  const { limit, burst, algorithm = policy.algorithm, onUnavailable = policy.onUnavailable } = values
  return { ...policy, limit, algorithm, onUnavailable, ...(burst !== undefined && { burst }) }
}

export function allPolicies({ rules }: Pick<PolicySource, 'rules'>): AppliedPolicy[] {
  return rules.flatMap(({ dimension, policies }) => policies.map((policy) => ({ dimension, policy })))
}

function limits(source: PolicySource, routeClass: RouteClass, { name }: LimitPolicy): boolean {
  return policiesOf(source, routeClass).some(({ policy }) => policy.name === name)
}

function isBelow(need: (typeof needed)[number], { limit, algorithm, burst, cost = 1 }: LimitPolicy): boolean {
  if (isPerKey(limit)) return false
  const perHour = (limit.count * 3_600_000) / limit.periodMs
  const isLongWindow = !burstAlgorithms.includes(algorithm) && limit.periodMs > longestWindowMs
  return isLongWindow || perHour < need.perHour * cost || (burst ?? limit.count) < need.burst * cost
}
