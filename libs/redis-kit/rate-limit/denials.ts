/**
 * Denials that are still true, so that a hot offender is refused in this process, at a million decisions per second
 * and without a round trip. Sound because nothing but time (and a refund, see `forget`) makes room in a bucket: until
 * the announced wait is over, Redis would say the same.
 */
import { remember } from './local-bucket.ts'

export interface Denial {
  untilMs: number
  resetAtMs: number
  remaining: number
  /** A smaller cost might still fit. */
  cost: number
}

export interface Denials {
  find(id: string, cost: number): Denial | undefined
  add(id: string, denial: Denial): void
  forget(id: string): void
}

/** Times are readings of one monotonic clock, `nowMs`. */
export function createDenials({ maxIds, nowMs }: { maxIds: number; nowMs: () => number }): Denials {
  const denials = new Map<string, Denial>()

  function find(id: string, cost: number) {
    const denial = denials.get(id)
    if (!denial || cost < denial.cost) return undefined
    if (denial.untilMs > nowMs()) return denial
    denials.delete(id)
    return undefined
  }
  return {
    find,
    add: (id, denial) => remember(denials, id, denial, maxIds),
    forget: (id) => void denials.delete(id),
  }
}
