/** How long the source took for the loads of a time: the difference of two readings of the catalog's own metrics. */

/** Loads at or below each bound in seconds, so far. */
export type LoadTimes = ReadonlyMap<number, number>

export async function readLoadTimes(internalPort: number): Promise<LoadTimes> {
  const page = await (await fetch(`http://127.0.0.1:${internalPort}/metrics`)).text()
  const lines = page.matchAll(
    /^cache_load_duration_seconds_bucket\{(?=[^}]*cache="products")[^}]*le="([^"]+)".*\} (\d+)$/gm,
  )
  const times = new Map<number, number>()
  for (const [, bound, count] of lines) {
    const seconds = bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound)
    times.set(seconds, (times.get(seconds) ?? 0) + Number(count))
  }
  return times
}

/** The bound of the bucket in which this share of the loads ends; 0 when there were none. */
export function loadTimeMs(before: LoadTimes, after: LoadTimes, share: number): number {
  const counts = [...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)] as const)
  const totalCount = counts.find(([bound]) => bound === Number.POSITIVE_INFINITY)?.[1] ?? 0
  const reached = counts.toSorted(([a], [b]) => a - b).find(([, count]) => count >= totalCount * share)
  return totalCount === 0 ? 0 : (reached?.[0] ?? 0) * 1_000
}
