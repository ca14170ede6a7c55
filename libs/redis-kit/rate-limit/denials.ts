/**
 * Denials that are still true, so that a hot offender is refused in this process: no round trip, a million times a second.
 * Sound because nothing but time (and a refund, see `forget`) makes room in a bucket: until the announced wait is over,
 * Redis would say the same.
 *
 * When Redis denied is known only to lie between our asking and our hearing. The earliest moment decides how long we refuse,
 * so that nobody is refused whom Redis would admit; the latest is what we tell, so that nobody is told to come too early.
 */
import type { Spacing, Verdict } from './gcra.ts'
import { remember } from './local-bucket.ts'

interface Denial {
  /** When the bucket will be full again: the earliest it can be, and how much later it may be. */
  fullAtMs: number
  slackMs: number
}

export interface Denials {
  /** What Redis would certainly say, if it would certainly deny. */
  find(id: string, cost: number): Verdict | undefined
  /** `askedMs` is `nowMs()` from before the question. */
  add(id: string, verdict: { resetAfterMs: number }, askedMs: number): void
  forget(id: string): void
}

export function createDenials(
  { intervalUs, toleranceUs }: Spacing,
  { maxIds, nowMs }: { maxIds: number; nowMs: () => number },
): Denials {
  const denials = new Map<string, Denial>()
  const intervalMs = intervalUs / 1000
  const toleranceMs = toleranceUs / 1000

  function find(id: string, cost: number): Verdict | undefined {
    const denial = denials.get(id)
    if (!denial) return undefined
    const fullInMs = denial.fullAtMs - nowMs()
    const waitMs = fullInMs + cost * intervalMs - toleranceMs
    if (waitMs > 0 && cost * intervalMs <= toleranceMs)
      return verdictOf(fullInMs + denial.slackMs, waitMs + denial.slackMs)
    if (fullInMs + intervalMs <= toleranceMs) denials.delete(id) // there is room for one: nothing is denied for certain
    return undefined
  }
  function verdictOf(fullInMs: number, waitMs: number): Verdict {
    return {
      allowed: false,
      remaining: Math.max(0, Math.floor((toleranceMs - fullInMs) / intervalMs)),
      retryAfterMs: Math.ceil(waitMs),
      resetAfterMs: Math.ceil(fullInMs),
      tatUs: 0,
    }
  }
  function add(id: string, { resetAfterMs }: { resetAfterMs: number }, askedMs: number) {
    const earliestMs = askedMs + resetAfterMs - 1 // resetAfterMs was rounded up
    remember(denials, [id, { fullAtMs: earliestMs, slackMs: nowMs() + resetAfterMs - earliestMs }], maxIds)
  }
  return { find, add, forget: (id) => void denials.delete(id) }
}
