/**
 * A retry budget: retries may be a share of requests, not a multiple of them. One budget per dependency, shared by its callers.
 * A token bucket as in gRPC's retry throttling and Finagle's RetryBudget: every request pays in `ratio`, every retry
 * takes 1, and a trickle keeps rare callers able to retry.
 */
import { checkNumbers } from '../number-options.ts'

export interface RetryBudget {
  /** A request begins. */
  deposit(): void
  /** A retry wants to begin. False: it must not. */
  withdraw(): boolean
}

export interface RetryBudgetOptions {
  /** Retries per request, over time. @default 0.2 */
  ratio?: number
  /** Retries per second that are always allowed, however few requests there are. @default 1 */
  minPerSecond?: number
  /** Savings: the most retries that can follow each other after a quiet time. @default 10 */
  burstCount?: number
  /** Monotonic clock, ms. @default performance.now */
  now?: () => number
}

/** Over any stretch of time: retries <= ratio * requests + minPerSecond * seconds + burstCount. Starts full. */
export function createRetryBudget({
  ratio = 0.2,
  minPerSecond = 1,
  burstCount = 10,
  now = () => performance.now(),
}: RetryBudgetOptions = {}): RetryBudget {
  checkNumbers(
    'retry budget',
    { ratio, minPerSecond, burstCount },
    {
      ratio: { min: 0 },
      minPerSecond: { min: 0 },
      burstCount: { min: 0 },
    },
  )
  let balance = burstCount
  let paidUntilMs = now()
  return { deposit, withdraw }

  function deposit() {
    balance = Math.min(burstCount, balance + ratio)
  }

  function withdraw() {
    const atMs = now()
    balance = Math.min(burstCount, balance + ((atMs - paidUntilMs) / 1_000) * minPerSecond)
    paidUntilMs = atMs
    if (balance < 1) return false
    balance -= 1
    return true
  }
}
