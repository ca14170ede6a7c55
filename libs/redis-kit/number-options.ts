/**
 * The numbers among a factory's options, checked when the thing is made: a NaN out of a missing variable, a negative time or one
 * above a timer's reach shows up at the start, with its name, and not as a strange behaviour later.
 *
 *     checkNumbers('cache', options, { ttlMs: { min: 1, max: DAY_MS }, maxLoadCount: { min: 1, isWhole: true } })
 */

/** Longer waits of setTimeout() end at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1

export interface NumberRange {
  min: number
  /** @default Number.MAX_SAFE_INTEGER */
  max?: number
  /** @default false */
  isWhole?: boolean
}

export type NumberRanges<Options> = { readonly [Name in keyof Options]?: NumberRange }

/** Undefined options pass: their default applies. Throws a RangeError that names the option, its value and what it may be. */
export function checkNumbers<Options extends object>(
  owner: string,
  options: Options,
  ranges: NumberRanges<Options>,
): void {
  for (const name in ranges) {
    const value: unknown = options[name]
    const { min, max = Number.MAX_SAFE_INTEGER, isWhole = false } = ranges[name] as NumberRange
    if (value === undefined) continue
    const isFit = typeof value === 'number' && value >= min && value <= max && (!isWhole || Number.isInteger(value))
    const shown = typeof value === 'string' ? JSON.stringify(value) : String(value)
    if (!isFit)
      throw new RangeError(
        `${owner}: ${name} must be ${isWhole ? 'a whole number ' : ''}from ${min} to ${max}, not ${shown}`,
      )
  }
}
