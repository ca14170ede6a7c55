/**
 * A wake-up that cannot get lost: a ring while nothing waits is kept for the next wait. Whoever waits looks again at what it waits
 * for, so one ring too many does no harm.
 */
export interface Bell {
  ring(): void
  /** Resolves at the next ring, at one since the last call, or when the signal aborts. One caller at a time. */
  next(): Promise<void>
}

export function createBell(signal: AbortSignal): Bell {
  let hasRung = false
  let wake: (() => void) | undefined
  signal.addEventListener('abort', ring, { once: true })
  return { ring, next }

  function ring(): void {
    hasRung = true
    wake?.()
  }

  async function next(): Promise<void> {
    if (!hasRung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      wake = undefined
    }
    hasRung = false
  }
}
