/**
 * GCRA, the generic cell rate algorithm (ITU-T I.371), as a pure function: an exact token bucket whose whole state is
 * one number. `tatUs`, the theoretical arrival time, is when the bucket will be full again. A request of cost c moves it
 * by c emission intervals, and is refused when it would then lie further ahead than a full burst.
 *
 * The same arithmetic as gcra.lua, which decides for all processes; this one decides when Redis does not answer.
 */

/** How often: `count` per `periodMs`, sustained. How much at once is the burst, a number of its own. */
export interface Rate {
  count: number
  periodMs: number
}

/** In any interval of t ms at most `burst + t * count / periodMs` is admitted. */
export interface BurstRate extends Rate {
  burst: number
}

/** What the algorithm reckons with, in whole microseconds. */
export interface Spacing {
  intervalUs: number
  toleranceUs: number
  /** The furthest that the arrival time lies ahead; what is further is cut. @default toleranceUs */
  furthestUs?: number
}

/** What one decision found. */
export interface Verdict {
  allowed: boolean
  /** How many of cost 1 would still be admitted now. */
  remaining: number
  /** 0 when admitted. The same request, alone, succeeds after this wait. -1 when its cost exceeds the burst: never. */
  retryAfterMs: number
  /** Until the full burst is available again, if nothing more is asked. */
  resetAfterMs: number
}

/** Rounding the interval up to whole microseconds slows the rate down; more than this share and the limit would be a lie. */
const MAX_ROUNDING = 0.01

/** Throws RangeError, naming the field, for a policy that cannot be kept. */
export function spacingOf({ count, periodMs, burst }: BurstRate): Spacing {
  requireCount('limit.count', count)
  requireCount('burst', burst)
  if (!(periodMs > 0 && Number.isFinite(periodMs))) throw new RangeError(`limit.periodMs must be > 0, not ${periodMs}`)
  const intervalUs = intervalUsOf({ count, periodMs })
  return { intervalUs, toleranceUs: intervalUs * burst }
}

export function intervalUsOf({ count, periodMs }: Rate): number {
  const exactUs = (periodMs * 1000) / count
  const intervalUs = Math.ceil(exactUs)
  if (intervalUs / exactUs - 1 > MAX_ROUNDING) {
    const slower = `${(100 * (intervalUs / exactUs - 1)).toFixed(1)} %`
    throw new RangeError(
      `${count} per ${periodMs} ms is too fast: in whole microseconds per unit it would be ${slower} slower`,
    )
  }
  return intervalUs
}

/** `tatUs` is 0 for an id never seen. The verdict's `tatUs` is what to remember of it. */
export function decide(
  tatUs: number,
  nowUs: number,
  { intervalUs, toleranceUs, furthestUs = toleranceUs }: Spacing,
  cost: number,
): Verdict & { tatUs: number } {
  const charge = intervalUs * cost
  const before = Math.min(Math.max(tatUs, nowUs), nowUs + furthestUs)
  const early = before + charge - toleranceUs - nowUs
  const allowed = early <= 0
  const tat = allowed ? before + charge : before
  return {
    allowed,
    remaining: Math.max(0, Math.floor((toleranceUs - (tat - nowUs)) / intervalUs)),
    retryAfterMs: allowed ? 0 : charge > toleranceUs ? -1 : Math.ceil(early / 1000),
    resetAfterMs: Math.ceil((tat - nowUs) / 1000),
    tatUs: tat,
  }
}

export function requireCount(name: string, value: number) {
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be an integer >= 1, not ${value}`)
}
