/** Keys whose event could not be published: left alone for a while, so that one bad event does not hold up the others. */
import { fullJitterMs } from '@shop/redis-kit/flow/backoff'

export interface Holds {
  /** The keys to leave alone now. */
  current(): string[]
  failed(name: string): void
  succeeded(name: string): void
  /** The backoff after so many failures in a row. */
  delayMs(failureCount: number): number
}

/** More bad keys than this are not remembered: they are simply tried each time. */
const MAX_HOLDS = 1000

export function createHolds(backoff: { baseMs: number; capMs: number }): Holds {
  const holds = new Map<string, { failureCount: number; untilMs: number }>()
  const delayMs = (failureCount: number) => fullJitterMs(failureCount, backoff)

  return {
    delayMs,
    current() {
      const now = performance.now()
      return [...holds].filter(([, { untilMs }]) => untilMs > now).map(([name]) => name)
    },
    failed(name) {
      if (!holds.has(name) && holds.size >= MAX_HOLDS) return
      const failureCount = (holds.get(name)?.failureCount ?? 0) + 1
      holds.set(name, { failureCount, untilMs: performance.now() + delayMs(failureCount) })
    },
    succeeded(name) {
      holds.delete(name)
    },
  }
}
