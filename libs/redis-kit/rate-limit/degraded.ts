/** Decisions without Redis: which errors call for one, after how long, and what it says. */
import { BreakerOpen, BreakerTimeout } from '../circuit-breaker/errors.ts'
import { isRedisOutage } from '../errors.ts'
import { within } from '../flow/deadline.ts'
import { createSharedDeadline } from '../flow/shared-deadline.ts'
import type { Verdict } from './gcra.ts'
import type { LocalBucket } from './local-bucket.ts'

/** The wait announced by a limiter that fails closed. How long the outage lasts is unknown: neither long nor at once. */
const CLOSED_RETRY_MS = 1000

export const fixedVerdicts: Record<'open' | 'closed', Verdict> = {
  open: { allowed: true, remaining: 0, retryAfterMs: 0, resetAfterMs: 0 },
  closed: { allowed: false, remaining: 0, retryAfterMs: CLOSED_RETRY_MS, resetAfterMs: CLOSED_RETRY_MS },
}

/** For limits that keep no share of their own. */
export function createFixedAnswer(onUnavailable: 'open' | 'closed'): LocalBucket {
  const answer = () => fixedVerdicts[onUnavailable]
  return { check: answer, peek: answer, penalize: answer, refund: () => undefined, reset() {} }
}

/** A decision that comes later is of no use to the request that waits for it. */
class DecisionLate extends Error {
  override readonly name = 'DecisionLate'
  readonly code = 'RATE_LIMIT_LATE'
}

export function inTime<Value>(decision: Promise<Value>, deadlineMs: number): Promise<Value> {
  return within(decision, deadlineMs, () => {
    throw late(deadlineMs)
  })
}

/** `inTime` whose usual deadline costs no timer for each decision. */
export function createInTime(usualMs: number): typeof inTime {
  const withinUsual = createSharedDeadline(usualMs, () => late(usualMs))
  return (decision, deadlineMs) => (deadlineMs === usualMs ? withinUsual(() => decision) : inTime(decision, deadlineMs))
}

const late = (deadlineMs: number) => new DecisionLate(`no decision within ${deadlineMs} ms`)

/** The fail mode is for outages. A missing permission or a broken script is a mistake, and must not pass for one. */
export function requireOutage(error: unknown) {
  const isNoAnswer = error instanceof DecisionLate || error instanceof BreakerOpen || error instanceof BreakerTimeout
  if (!isNoAnswer && !isRedisOutage(error)) throw error
}
