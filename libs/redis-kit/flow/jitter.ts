/** A time, moved at random: processes that began together must not go on together. `random` is by default Math.random. */

/** A share more or less, uniform in [ms * (1 - share), ms * (1 + share)). On average it is `ms`. */
export function about(ms: number, share: number, random: () => number = Math.random): number {
  return ms * (1 - share + 2 * share * random())
}

/** Up to a share less, uniform in [ms * (1 - share), ms): for a time that others rely on, such as a third of a lease. */
export function atMost(ms: number, share: number, random: () => number = Math.random): number {
  return ms * (1 - share + share * random())
}
