/**
 * Try again, without making things worse: full jitter, inside a deadline, under a budget, for errors that allow it.
 */
import { fullJitterMs } from '../flow/backoff.ts'
import { withDeadline } from '../flow/deadline.ts'
import { pause } from '../flow/pause.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import type { RetryBudget } from './budget.ts'

export { createRetryBudget, type RetryBudget } from './budget.ts'

export interface RetryOptions {
  /** Attempts in all, the first included. @default 3 */
  attempts?: number
  /** Upper bound of the first pause; doubles with every attempt. @default 25 */
  baseMs?: number
  /** Upper bound of any pause. @default 1000 */
  capMs?: number
  /** For everything together: attempts and pauses. */
  deadlineMs: number
  /** Is it safe and useful to try again after this error? "Safe" means: not executed, or executing twice is harmless. */
  isRetryable: (error: unknown) => boolean
  /** Shared by all callers of one dependency; without one, an outage multiplies the load by `attempts`. */
  budget?: RetryBudget
  /** Ends it from outside: the running attempt's signal is aborted and the reason is thrown. */
  signal?: AbortSignal
  /** @default Math.random */
  random?: () => number
  /** Monotonic clock, ms. @default performance.now */
  now?: () => number
}

/** The deadline passed. Whether the attempt that was running had an effect is unknown; `cause` is the last error seen. */
export class DeadlineExceeded extends Error {
  override name = 'DeadlineExceeded'
  code = 'DEADLINE_EXCEEDED'

  constructor(deadlineMs: number, cause?: unknown) {
    super(`not done within ${deadlineMs} ms`, { cause })
  }
}

/**
 * Resolves with the first success. Rejects with the last error when it is not retryable, when attempts or budget are used
 * up, or when no time is left for another pause; with DeadlineExceeded when the deadline ends a running attempt; with the
 * signal's reason when the caller gave up. Never waits for work that ignores its signal.
 *
 * @param work attempt counts from 1; its signal is aborted at the deadline or with the caller's
 */
export async function retry<T>(
  work: (attempt: number, signal: AbortSignal) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { attempts = 3, isRetryable, budget, signal, now = () => performance.now() } = options
  checkNumbers('retry', options, {
    attempts: { min: 1, isWhole: true },
    baseMs: { min: 0, max: MAX_TIMER_MS },
    capMs: { min: 0, max: MAX_TIMER_MS },
    deadlineMs: { min: 0, max: MAX_TIMER_MS },
  })
  signal?.throwIfAborted()
  budget?.deposit()
  const endsAtMs = now() + options.deadlineMs
  let lastError: unknown
  const late = () => new DeadlineExceeded(options.deadlineMs, lastError)
  return withDeadline(attemptAll, { ms: options.deadlineMs, late, signal })

  async function attemptAll(limit: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(attempt, limit)
      } catch (error) {
        if (limit.aborted || attempt >= attempts || !isRetryable(error)) throw error
        const pauseMs = fullJitterMs(attempt, options)
        if (now() + pauseMs >= endsAtMs) throw error
        if (budget && !budget.withdraw()) throw error
        lastError = error
        await pause(pauseMs, limit)
        limit.throwIfAborted()
      }
    }
  }
}
