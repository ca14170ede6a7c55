/** Figures of several rounds as one. Medians, because a machine that others use too now and then gives a round far off. */

/** Throws a RangeError for no values: there is no figure to show, and 0 would look like one. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Between two ranks it interpolates. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('there is no quantile of nothing')
  const sorted = values.toSorted((a, b) => a - b)
  const rank = (sorted.length - 1) * share
  const below = sorted[Math.floor(rank)] as number
  const above = sorted[Math.ceil(rank)] as number
  return below + (above - below) * (rank - Math.floor(rank))
}

export interface Ratio {
  median: number
  /** The quartiles: half of the rounds were between these. */
  low: number
  high: number
}

/**
 * How many times `of` is, compared with `to`. Divided round by round and only then condensed: both of a round had nearly the
 * same machine, so that its load cancels out, which it does not in two medians.
 */
export function ratio(of: readonly number[], to: readonly number[]): Ratio {
  if (of.length !== to.length) throw new RangeError(`${of.length} rounds cannot be compared with ${to.length}`)
  const ratios = of.map((value, round) => value / (to[round] as number))
  return { median: median(ratios), low: quantile(ratios, 0.25), high: quantile(ratios, 0.75) }
}

/** A B C, B C A, C A B, …: nobody always comes after the same one, and nobody is always first. */
export function rotated<Item>(items: readonly Item[], round: number): Item[] {
  const first = items.length === 0 ? 0 : round % items.length
  return [...items.slice(first), ...items.slice(0, first)]
}
