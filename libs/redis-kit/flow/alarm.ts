/**
 * Wait, or be woken. A ring cannot get lost: one that comes while nothing waits ends the next wait at once. Several rings count as
 * one. After a wake-up the caller looks again for what it waits for, so a ring too many does no harm.
 */
export interface Alarm {
  ring(): void
  /**
   * Resolves at the next ring, or at once if one came since the last wait; after `ms`, if given; or when the signal aborts.
   * Never rejects. One caller at a time: a second one is a second alarm.
   */
  next(ms?: number, signal?: AbortSignal): Promise<void>
}

export function createAlarm(): Alarm {
  let hasRung = false
  let wake: (() => void) | undefined
  return { ring, next }

  function ring(): void {
    hasRung = true
    wake?.()
  }

  async function next(ms?: number, signal?: AbortSignal): Promise<void> {
    if (!hasRung && !signal?.aborted) await untilWoken(ms, signal)
    hasRung = false
  }

  function untilWoken(ms?: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(end, ms)
      signal?.addEventListener('abort', end)
      wake = end

      function end() {
        clearTimeout(timer)
        signal?.removeEventListener('abort', end)
        wake = undefined
        resolve()
      }
    })
  }
}
