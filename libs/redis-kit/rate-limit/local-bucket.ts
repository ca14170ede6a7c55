/**
 * The limit of one process alone, for when Redis does not answer: this instance's share of the burst, refilled at its
 * share of the rate. All instances together then keep the limit about as well as traffic is spread evenly.
 */
import type { Charge } from './charge.ts'
import { type BurstRate, decide, spacingOf, type Verdict } from './gcra.ts'

export interface LocalBucket {
  check(id: string, cost: number): Verdict & { charge?: Charge }
  peek(id: string, cost: number): Verdict
  /** Takes `cost` units, or as many as there are; answers as `peek` for one unit. */
  penalize(id: string, cost: number): Verdict
  /** Once, and until time may have given it back. Undefined for a charge that was not made here. */
  refund(id: string, charge: Charge): boolean | undefined
  reset(id: string): void
}

/** For a policy that `planOf` has accepted with 'local': the share of one instance is slower, so it can be kept as well. */
export function createLocalBucket(
  policy: BurstRate,
  { instances, maxIds, nowMs }: { instances: () => number; maxIds: number; nowMs: () => number },
): LocalBucket {
  const tats = new Map<string, number>()
  let chargeCount = 0
  /** How far each charge has moved the arrival time, which a later share would not tell; 0 when it was given back. */
  const chargedUs = new WeakMap<Charge, number>()
  return { check, peek, penalize, refund, reset: (id) => void tats.delete(id) }

  function check(id: string, cost: number): Verdict & { charge?: Charge } {
    const { tatUs, intervalUs, ...verdict } = decideNow(id, cost)
    remember(tats, [id, tatUs], maxIds)
    if (!verdict.allowed) return verdict
    chargeCount += 1
    const charge = { cost, id: `local-${chargeCount}`, stampUs: tatUs }
    chargedUs.set(charge, cost * intervalUs)
    return { ...verdict, charge }
  }
  function refund(id: string, charge: Charge): boolean | undefined {
    const byUs = chargedUs.get(charge)
    if (byUs === undefined) return undefined
    const tatUs = tats.get(id)
    if (tatUs === undefined || byUs === 0 || charge.stampUs <= nowUs()) return false
    chargedUs.set(charge, 0)
    tats.set(id, tatUs - byUs)
    return true
  }
  function peek(id: string, cost: number): Verdict {
    const { tatUs, intervalUs, ...verdict } = decideNow(id, cost)
    if (!verdict.allowed) return verdict
    const resetAfterMs = Math.ceil((tatUs - cost * intervalUs - nowUs()) / 1000)
    return { ...verdict, remaining: verdict.remaining + cost, resetAfterMs } // as if it were not taken
  }
  function penalize(id: string, cost: number): Verdict {
    const units = Math.min(cost, peek(id, 1).remaining)
    if (units > 0) check(id, units)
    return peek(id, 1)
  }
  function decideNow(id: string, cost: number) {
    const share = shareOf(policy, Math.max(1, Math.floor(instances())), cost)
    return { ...decide(tats.get(id) ?? 0, nowUs(), share, cost), intervalUs: share.intervalUs }
  }
  function nowUs() {
    return Math.round(nowMs() * 1000)
  }
}

/**
 * A cost that the whole limit can bear must fit into the share of one instance, or it would never be admitted. So a bucket may lack more
 * than its share, and a smaller cost then waits until that is refilled.
 */
function shareOf({ count, periodMs, burst }: BurstRate, instanceCount: number, cost: number) {
  const share = Math.max(1, Math.ceil(burst / instanceCount))
  const room = cost <= burst ? Math.max(share, cost) : share
  const spacing = spacingOf({ count, periodMs: periodMs * instanceCount, burst: room })
  return { ...spacing, furthestUs: spacing.intervalUs * burst }
}

/** Insertion order is age: the oldest goes first, so a flood of new ids costs memory up to the bound and no more. */
export function remember<Value>(map: Map<string, Value>, [id, value]: [id: string, value: Value], maxIds: number) {
  map.delete(id)
  map.set(id, value)
  if (map.size > maxIds) map.delete(map.keys().next().value as string)
}
