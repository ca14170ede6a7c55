/**
 * Between the cache and Redis: no question takes longer than the deadline, and when Redis keeps failing nobody asks.
 */
import type { Breaker } from '../circuit-breaker/circuit-breaker.ts'
import { OutcomeUnknown } from '../errors.ts'
import { createSharedDeadline } from '../flow/shared-deadline.ts'

/** A breaker's bookkeeping costs as much as a GET itself, so a busy healthy cache has one question per so many ms counted. */
const SAMPLE_EVERY_MS = 1

export interface GuardOptions {
  breaker: Pick<Breaker, 'run' | 'state'>
  deadlineMs: number
}

export type Guard = <T>(ask: () => Promise<T>) => Promise<T>

export function createGuard({ breaker, deadlineMs }: GuardOptions): Guard {
  const late = () => new OutcomeUnknown(`the cache got no answer within ${deadlineMs} ms`)
  const within = createSharedDeadline(deadlineMs, late)
  let sampledAtMs = Number.NEGATIVE_INFINITY

  return function guarded<T>(ask: () => Promise<T>): Promise<T> {
    const nowMs = performance.now()
    // Which ones are counted is decided before they are asked: a fair sample of good and bad answers.
    if (nowMs - sampledAtMs < SAMPLE_EVERY_MS && breaker.state() === 'closed') return within(ask)
    sampledAtMs = nowMs
    return breaker.run(() => within(ask))
  }
}
