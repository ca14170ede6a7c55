/**
 * The limit of one process alone, for when Redis does not answer: this instance's share of the burst, refilled at its
 * share of the rate. All instances together then keep the limit about as well as traffic is spread evenly.
 */
import { type BurstRate, decide, spacingOf, type Verdict } from './gcra.ts'

export interface LocalBucket {
  check(id: string, cost: number): Verdict
  peek(id: string, cost: number): Verdict
  /** Takes `cost` units, or as many as there are; answers as `peek` for one unit. */
  penalize(id: string, cost: number): Verdict
  reset(id: string): void
}

export function createLocalBucket(
  policy: BurstRate,
  { instances, maxIds, nowMs }: { instances: () => number; maxIds: number; nowMs: () => number },
): LocalBucket {
  spacingOf(policy) // an impossible share is refused now, and not at the first outage
  const tats = new Map<string, number>()

  function check(id: string, cost: number): Verdict {
    const { tatUs, ...verdict } = decideNow(id, cost)
    remember(tats, [id, tatUs], maxIds)
    return verdict
  }
  function peek(id: string, cost: number): Verdict {
    const { tatUs: _, ...verdict } = decideNow(id, cost)
    return verdict
  }
  function penalize(id: string, cost: number): Verdict {
    const units = Math.min(cost, peek(id, 1).remaining)
    if (units > 0) check(id, units)
    return peek(id, 1)
  }
  function decideNow(id: string, cost: number) {
    const share = shareOf(policy, Math.max(1, Math.floor(instances())), cost)
    return decide(tats.get(id) ?? 0, Math.round(nowMs() * 1000), share, cost)
  }
  return { check, peek, penalize, reset: (id) => void tats.delete(id) }
}

/** A cost that the whole limit can bear must fit into the share of one instance, or it would never be admitted. */
function shareOf({ count, periodMs, burst }: BurstRate, instanceCount: number, cost: number) {
  const share = Math.max(1, Math.ceil(burst / instanceCount))
  return spacingOf({ count, periodMs: periodMs * instanceCount, burst: cost <= burst ? Math.max(share, cost) : share })
}

/** Insertion order is age: the oldest goes first, so a flood of new ids costs memory up to the bound and no more. */
export function remember<Value>(map: Map<string, Value>, [id, value]: [id: string, value: Value], maxIds: number) {
  map.delete(id)
  map.set(id, value)
  if (map.size > maxIds) map.delete(map.keys().next().value as string)
}
