/**
 * The time to within a few milliseconds, for a path on which asking the clock would be most of the work (100 ns and more).
 * Read anew when the last reading is 5 ms old, and at the latest after 256 uses, for a loop that lets no timer run.
 */
const STEP_MS = 5
const MAX_USES = 256

export type CoarseClock = () => number

/** As `performance.now()`, and up to 5 ms behind. */
export function createCoarseClock(): CoarseClock {
  let readMs = 0
  let usesLeft = 0
  const expire = () => {
    usesLeft = 0
  }
  return function nowMs() {
    if (usesLeft-- > 0) return readMs
    // Running out of uses keeps the timer of the first: at worst the next reading comes early.
    setTimeout(expire, STEP_MS).unref()
    usesLeft = MAX_USES
    readMs = performance.now()
    return readMs
  }
}
