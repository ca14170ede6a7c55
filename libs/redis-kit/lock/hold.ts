/**
 * A lock while it is held: for how long it is certainly ours, and the watchdog that prolongs it.
 *
 * How long is counted here, on a clock that no one sets, and from before the request was sent: Redis began to count when it
 * executed it, which was later, so Redis never gives the lock to another while we still believe in it. Unless this process
 * is stopped, or its machine is: then it wakes up believing what was true. It finds out at the first look at the clock, but
 * a write may have been on its way already. That write is for the fence to refuse.
 */
import { isRedisOutage } from '../errors.ts'

/** Clocks do not run equally fast: a hundredth of the time and two milliseconds are taken off. */
const DRIFT_SHARE = 0.01
const DRIFT_MS = 2

/** The lock is not ours any more, or not certainly: what it protects must not be touched. */
export class LockLost extends Error {
  readonly code = 'LOCK_LOST'
  override readonly name = 'LockLost'
}

export interface HoldOptions {
  resource: string
  ttlMs: number
  maxHoldMs: number
  /** `performance.now()` from before the request that took the lock. */
  sentMs: number
  /** Asks Redis for another `ttlMs`. False when the lock is not ours. */
  extend: () => Promise<boolean>
  onError: (error: unknown) => void
}

export type Hold = ReturnType<typeof createHold>

export function createHold({ resource, ttlMs, maxHoldMs, sentMs, extend, onError }: HoldOptions) {
  const lost = new AbortController()
  const hardEndMs = sentMs + maxHoldMs
  let isOver = false
  let validUntilMs = validFrom(sentMs)
  let deadline: NodeJS.Timeout | undefined
  let renewal: NodeJS.Timeout | undefined
  arm()
  renewIn(ttlMs / 3)

  function validFrom(requestMs: number): number {
    return Math.min(requestMs + ttlMs * (1 - DRIFT_SHARE) - DRIFT_MS, hardEndMs)
  }
  function remainingMs(): number {
    return isOver ? 0 : validUntilMs - performance.now()
  }

  function arm(): void {
    clearTimeout(deadline)
    deadline = setTimeout(lose, remainingMs(), 'its time has expired').unref()
  }
  function renewIn(ms: number): void {
    renewal = setTimeout(renew, ms).unref()
  }
  async function renew(): Promise<void> {
    const requestMs = performance.now()
    if (requestMs >= validUntilMs) return lose('its time has expired') // asleep for so long: the deadline is due as well
    if (validFrom(requestMs) <= validUntilMs) return // at the end of maxHoldMs: it runs out
    try {
      if (!(await extend())) return lose('another holder may have it')
      if (isOver) return // the confirmation came too late
      validUntilMs = validFrom(requestMs)
      arm()
      renewIn(ttlMs / 3)
    } catch (error) {
      if (!isRedisOutage(error)) onError(error) // an outage shows by the lock being lost, unless it ends in time
      if (!isOver) renewIn(ttlMs / 10)
    }
  }
  function lose(reason: string): void {
    if (isOver) return
    end()
    lost.abort(new LockLost(`the lock on ${resource} was lost: ${reason}`))
  }
  function end(): void {
    isOver = true
    clearTimeout(deadline)
    clearTimeout(renewal)
  }
  return {
    signal: lost.signal,
    remainingMs,
    /** Throws LockLost. Looks at the clock: after a pause, timers are later than the truth. */
    assertValid(): void {
      if (remainingMs() > 0) return
      lose('its time has expired')
      throw lost.signal.aborted ? lost.signal.reason : new LockLost(`the lock on ${resource} was released`)
    },
    /** No more renewals; nothing is lost by that. */
    end,
  }
}
