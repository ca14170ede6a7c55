/**
 * Denials that are still true, so that a hot offender is refused in this process: without a round trip, a million times a second.
 * Sound because only time makes room in a bucket or a window (a refund and a reset do too, see `forget`): until the announced wait
 * is over, Redis would deny as well. Other processes can refund, reset and change policies, so a denial is trusted for `maxAgeMs`
 * at most. Then one question renews it, and until that has ended, by an answer or its deadline, the others are still denied: a flood
 * over many connections asks Redis once.
 *
 * Redis denied at some moment between question and answer. The earliest decides how long this process denies, so that no id is
 * denied that Redis would admit; the latest is announced, so that no caller is told to come too early.
 */
import { remember } from './local-bucket.ts'

/** What a denial says, for every algorithm. */
export interface Denial {
  remaining: number
  /** More than 0: a cost that never fits is not remembered. */
  retryAfterMs: number
  resetAfterMs: number
}

interface KnownDenial {
  cost: number
  remaining: number
  /** When this cost fits: the earliest that it can be, and how much later it may be. */
  freeAtMs: number
  slackMs: number
  /** When all is available again, at the latest. */
  resetAtMs: number
  trustedUntilMs: number
  /** A question is under way. Not a time: after a pause of this process requests may be read before the answer that is there. */
  isRenewing: boolean
}

export interface DenialsOptions {
  /** The largest cost that can ever be admitted. */
  burst: number
  /** What one unit of cost waits, in algorithms that refill evenly. @default undefined: windows, which free many units at once */
  intervalMs?: number
  maxAgeMs: number
  maxIds: number
  /** Monotonic. */
  nowMs: () => number
}

export interface Denials {
  /** What Redis would certainly say, if it would certainly deny: for the denied cost and all above it. */
  find(id: string, cost: number): Denial | undefined
  /** `askedMs` is `nowMs()` from before the question. */
  add(id: string, denied: { cost: number; denial: Denial; askedMs: number }): void
  forget(id: string): void
  /**
   * A question about this id begins, which renews a denial that is no longer trusted. Returns the end of the question, which must come,
   * after `add`: a denial that was not renewed is forgotten.
   */
  renew(id: string): () => void
}

const nothing = () => {}

export function createDenials({ burst, intervalMs, maxAgeMs, maxIds, nowMs }: DenialsOptions): Denials {
  const known = new Map<string, KnownDenial>()
  return { find, add, forget: (id) => void known.delete(id), renew }

  function find(id: string, cost: number): Denial | undefined {
    const denial = known.get(id)
    // An invalid cost is no reason to deny: the check that follows rejects it.
    if (!denial || !Number.isInteger(cost) || cost < 1 || cost > burst) return undefined
    const now = nowMs()
    if (now >= denial.trustedUntilMs && !denial.isRenewing) return undefined
    // Where the refill is even, what another cost waits is known too: a smaller one less, and a larger one longer.
    const freeAtMs = denial.freeAtMs + (cost - denial.cost) * (intervalMs ?? 0)
    if (freeAtMs <= now || (intervalMs === undefined && cost < denial.cost)) return undefined
    const resetAfterMs = Math.ceil(denial.resetAtMs - now)
    const isExact = intervalMs !== undefined || cost === denial.cost
    const retryAfterMs = isExact ? Math.ceil(freeAtMs + denial.slackMs - now) : resetAfterMs
    return { remaining: denial.remaining, retryAfterMs, resetAfterMs }
  }

  function add(id: string, { cost, denial, askedMs }: { cost: number; denial: Denial; askedMs: number }) {
    const { remaining, retryAfterMs, resetAfterMs } = denial
    const heardMs = nowMs()
    const freeAtMs = askedMs + retryAfterMs - 1 // it was rounded up
    const trustedUntilMs = Math.min(askedMs + maxAgeMs, intervalMs === undefined ? freeAtMs : askedMs + resetAfterMs)
    if (trustedUntilMs <= heardMs) return void known.delete(id)
    const slackMs = heardMs + retryAfterMs - freeAtMs
    const entry = {
      cost,
      remaining,
      freeAtMs,
      slackMs,
      resetAtMs: heardMs + resetAfterMs,
      trustedUntilMs,
      isRenewing: false,
    }
    remember(known, [id, entry], maxIds)
  }

  function renew(id: string) {
    const denial = known.get(id)
    if (!denial || denial.isRenewing || nowMs() < denial.trustedUntilMs) return nothing
    denial.isRenewing = true
    return () => {
      if (known.get(id) === denial) known.delete(id)
    }
  }
}
