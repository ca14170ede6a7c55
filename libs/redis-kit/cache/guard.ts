/**
 * Between the cache and Redis: no question takes longer than the deadline, and when Redis keeps failing nobody asks.
 */
import type { Breaker } from '../circuit-breaker/circuit-breaker.ts'
import { createDeadline } from './deadline.ts'

/** A breaker's bookkeeping costs as much as a GET itself, so a busy healthy cache has one question per so many ms counted. */
const SAMPLE_EVERY_MS = 1

export interface GuardOptions {
  breaker: Pick<Breaker, 'run' | 'state'>
  deadlineMs: number
}

export type Guard = <T>(ask: () => Promise<T>) => Promise<T>

export function createGuard({ breaker, deadlineMs }: GuardOptions): Guard {
  const within = createDeadline(deadlineMs)
  let sampledAtMs = Number.NEGATIVE_INFINITY

  return function guarded<T>(ask: () => Promise<T>): Promise<T> {
    const nowMs = performance.now()
    // Which ones are counted is decided before they are asked: a fair sample of good and bad answers.
    if (nowMs - sampledAtMs < SAMPLE_EVERY_MS && breaker.state() === 'closed') return within(nowMs, ask)
    sampledAtMs = nowMs
    return breaker.run(() => within(nowMs, ask))
  }
}
