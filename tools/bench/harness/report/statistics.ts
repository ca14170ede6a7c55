/** Figures of several rounds as one. Medians, because a machine that others use too now and then gives a round far off. */

/** Throws a RangeError for no values: there is no figure to show, and 0 would look like one. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Between two ranks it interpolates. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('a quantile needs at least one value')
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

/**
 * A new order for each round. Whoever was measured leaves something behind for a moment (garbage, a full pipe, a warm cache): in
 * an order that only rotates it would always be the same neighbour who pays.
 */
export function shuffled<Item>(items: readonly Item[]): Item[] {
  const order = [...items]
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    ;[order[last], order[other]] = [order[other] as Item, order[last] as Item]
  }
  return order
}
