/**
 * Several limits on one request: by address, by user, by tenant. Their keys lie in different hash slots, so no script
 * can take them together; they are asked in turn, and what was taken is given back when a later one refuses.
 */
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import type { Charge, Decision, Policy, RateLimit } from './rate-limit.ts'

export interface Dimension<Name extends string> {
  name: Name
  limit: RateLimit
}

/** One dimension's decision with what a header needs to tell it. */
export interface NamedDecision<Name extends string = string> {
  name: Name
  policy: Policy
  decision: Decision
}

export interface JointDecision<Name extends string> {
  allowed: boolean
  /** When admitted, of every dimension asked; when refused, of the one that refused. */
  decisions: NamedDecision<Name>[]
}

interface Ranked<Name extends string> extends Dimension<Name> {
  /** How often it refused lately, 0 to 1. */
  denialRatio: number
}

/** How much one decision counts in the denial ratio: about the last hundred matter. */
const RATIO_WEIGHT = 0.01

/**
 * All dimensions together take at most `deadlineMs`, the refunds after a refusal as long again.
 *
 * Not atomic: while a request that will be refused is on its way, what it has taken so far is missing to others. The
 * over-charge is at most the requests in flight, and lasts as long as they are; when a refund is lost to an outage, it
 * lasts until the bucket has refilled by itself.
 */
export function createRateLimits<Name extends string>(
  dimensions: readonly Dimension<Name>[],
  { deadlineMs = 50 }: { deadlineMs?: number } = {},
) {
  checkNumbers('rate limits', { deadlineMs }, { deadlineMs: { min: 1, max: MAX_TIMER_MS } })
  const ranked: Ranked<Name>[] = dimensions.map((dimension) => ({ ...dimension, denialRatio: 0 }))

  /** A dimension without an id does not apply to this request: nobody is signed in, say. */
  async function check(ids: Partial<Record<Name, string>>, cost = 1): Promise<JointDecision<Name>> {
    const asked = ranked.flatMap((dimension) => {
      const id = ids[dimension.name]
      return id === undefined ? [] : [{ dimension, id }]
    })
    for (const { dimension, id } of asked) {
      const denial = dimension.limit.knownDenial(id, cost)
      if (denial) return refused(dimension, denial)
    }
    // Who refuses most is asked first: then there is least to give back.
    asked.sort((a, b) => b.dimension.denialRatio - a.dimension.denialRatio)
    return inTurn(asked, cost, deadlineMs)
  }
  return { check }
}

interface Asked<Name extends string> {
  dimension: Ranked<Name>
  id: string
}

async function inTurn<Name extends string>(asked: Asked<Name>[], cost: number, deadlineMs: number) {
  const endMs = performance.now() + deadlineMs
  const charged: { limit: RateLimit; id: string; charge: Charge }[] = []
  const decisions: NamedDecision<Name>[] = []
  for (const { dimension, id } of asked) {
    const { name, limit } = dimension
    const decision = await limit.check(id, cost, Math.max(1, endMs - performance.now()))
    dimension.denialRatio += ((decision.allowed ? 0 : 1) - dimension.denialRatio) * RATIO_WEIGHT
    if (!decision.allowed) {
      await Promise.all(charged.map(({ limit, id, charge }) => limit.refund(id, charge, deadlineMs)))
      return refused(dimension, decision)
    }
    if (decision.charge) charged.push({ limit, id, charge: decision.charge })
    decisions.push({ name, policy: limit.policy, decision })
  }
  return { allowed: true, decisions }
}

function refused<Name extends string>({ name, limit }: Dimension<Name>, decision: Decision): JointDecision<Name> {
  return { allowed: false, decisions: [{ name, policy: limit.policy, decision }] }
}
