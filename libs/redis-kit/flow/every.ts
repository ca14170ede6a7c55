/** Rounds of work with pauses between them, until a signal aborts. */

import { MAX_TIMER_MS } from '../number-options.ts'
import { type Alarm, createAlarm } from './alarm.ts'
import { about } from './jitter.ts'

export interface EveryOptions {
  /** Ends the loop: in a pause at once, in a round after it. */
  signal: AbortSignal
  /** Moves each pause by up to this share, more or less, so that instances do not work in step. @default 0 */
  jitter?: number
  /** A ring ends the pause. One that comes during a round ends the pause after it. @default only time ends a pause */
  alarm?: Alarm
  /** What comes first: for work in no hurry, a pause. @default 'work' */
  first?: 'work' | 'pause'
}

/**
 * Does the work, pauses for `ms` and begins again; rounds never overlap. After a round that resolves with 'more' there is no pause.
 * Resolves when the signal has aborted and no round is under way. Rejects with what a round rejects with: no round follows.
 * Rejects with a RangeError for a pause that no timer can keep: it would end at once, and rounds would follow each other without one.
 */
export async function every(
  ms: number,
  { signal, jitter = 0, alarm = createAlarm(), first = 'work' }: EveryOptions,
  work: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  checkPause(ms, jitter)
  let isDue = first === 'work'
  while (!signal.aborted) {
    const hasMore = isDue && (await work(signal)) === 'more'
    isDue = true
    if (!hasMore) await alarm.next(about(ms, jitter), signal)
  }
}

function checkPause(ms: number, jitter: number): void {
  if (ms > 0 && jitter >= 0 && jitter <= 1 && ms * (1 + jitter) <= MAX_TIMER_MS) return
  throw new RangeError(`every: no timer can keep a pause of ${ms} ms with a jitter of ${jitter}`)
}
