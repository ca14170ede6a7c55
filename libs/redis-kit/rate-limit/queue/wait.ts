/** Waits that no timer of Node can keep in one piece, and that never end early. */
import { pause } from '../../flow/pause.ts'
import { MAX_TIMER_MS } from '../../number-options.ts'

/** Resolves at this moment of `performance.now()` or shortly after, or as soon as the signal aborts. Never before, as timers may. */
export async function waitUntil(dueMs: number, signal?: AbortSignal): Promise<void> {
  while (!signal?.aborted) {
    const leftMs = dueMs - performance.now()
    if (leftMs <= 0) return
    await pause(Math.min(leftMs, MAX_TIMER_MS), signal)
  }
}
