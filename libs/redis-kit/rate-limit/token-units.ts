/** How token-bucket.lua counts parts of a token: in whole units, so that no refill is lost to rounding. */
import { type BurstRate, intervalUsOf } from './gcra.ts'

/** The largest number that Lua adds and divides without rounding: its numbers are doubles. */
const MAX_UNITS = 2 ** 52

export interface TokenUnits {
  /** How many units one token has. */
  unit: number
  refillPerUs: number
}

/**
 * 300 per minute: a token has 200,000 units, and one is refilled per microsecond. Where a full bucket would have too many units,
 * the refill of a token is rounded up to whole microseconds. Throws RangeError where that would slow the rate down by more than 1 %.
 */
export function tokenUnitsOf({ count, periodMs, burst }: BurstRate): TokenUnits {
  const periodUs = Math.round(periodMs * 1000)
  const divisor = greatestCommonDivisor(count, periodUs)
  const unit = periodUs / divisor
  if (unit * burst <= MAX_UNITS) return { unit, refillPerUs: count / divisor }
  return { unit: intervalUsOf({ count, periodMs }), refillPerUs: 1 }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
