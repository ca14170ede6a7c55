/**
 * The server's clock, as far as it can be known here: the offset that the last good answer showed. Every process judges
 * freshness by the same clock, whatever the clocks of their machines say; and a wall clock that is set back does nothing.
 * On a Cluster it is the clock of whichever node answered, so there its nodes must agree among themselves (NTP).
 */
import type { CoarseClock } from './coarse-clock.ts'

const RESYNC_MS = 60_000

export type ServerClock = ReturnType<typeof createServerClock>

export function createServerClock(coarseClock: CoarseClock) {
  let offsetMs = 0
  let roundTripMs = Number.POSITIVE_INFINITY
  let syncedAtMs = Number.NEGATIVE_INFINITY

  return {
    /** Epoch milliseconds by the server's clock, up to 5 ms behind. */
    nowMs: () => coarseClock() + offsetMs,
    /** Unknown or a minute old: time to ask by a script instead of a plain GET. */
    isDue: () => coarseClock() - syncedAtMs > RESYNC_MS,
    /** The faster the answer, the smaller the error (at most half of the round trip): a slow one replaces only an old one. */
    observe(serverMs: number, sentAtMs: number, receivedAtMs: number) {
      const tookMs = receivedAtMs - sentAtMs
      if (tookMs > roundTripMs && receivedAtMs - syncedAtMs < RESYNC_MS) return
      offsetMs = serverMs - (sentAtMs + receivedAtMs) / 2
      roundTripMs = tookMs
      syncedAtMs = receivedAtMs
    },
  }
}
