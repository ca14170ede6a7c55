/**
 * A Prometheus histogram for the one thing that is observed on every request. prom-client's own sorts and joins the labels of each
 * observation, which takes longer than all the rest of the kit does per request; here an observation is a look-up and two additions.
 */
import type { Metric } from 'prom-client'

const boundsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Routes are few and so are methods and statuses; should that ever be wrong, the rest is counted together. */
const maxSeries = 2_000

interface Series {
  labels: { method: string; route: string; status: number }
  /** Not cumulative; the last is for what is longer than all bounds. */
  counts: number[]
  sumSeconds: number
}

export interface Durations {
  observe(method: string, route: string, status: number, durationMs: number): void
  /** For `registry.registerMetric`. */
  metric: Metric
}

export function createDurations({ name, help }: { name: string; help: string }): Durations {
  const all = new Map<string, Series>()
  const metric = { name, help, aggregator: 'sum', get, reset: () => all.clear() }
  return { observe, metric: metric as unknown as Metric }

  function observe(method: string, route: string, status: number, durationMs: number) {
    const key = `${method} ${status} ${route}`
    const series = all.get(key) ?? add(key, { method, route, status })
    const seconds = durationMs / 1000
    let bucket = 0
    while (bucket < boundsSeconds.length && seconds > (boundsSeconds[bucket] as number)) bucket += 1
    series.counts[bucket] = (series.counts[bucket] as number) + 1
    series.sumSeconds += seconds
  }

  function add(key: string, labels: Series['labels']): Series {
    if (all.size >= maxSeries)
      return all.get('other') ?? create('other', { method: 'other', route: 'other', status: 0 })
    return create(key, labels)
  }

  function create(key: string, labels: Series['labels']): Series {
    const series = { labels, counts: new Array(boundsSeconds.length + 1).fill(0), sumSeconds: 0 }
    all.set(key, series)
    return series
  }

  async function get() {
    return {
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      values: [...all.values()].flatMap((one) => linesOf(name, one)),
    }
  }
}

function linesOf(name: string, { labels, counts, sumSeconds }: Series) {
  let total = 0
  const buckets = counts.map((count, index) => {
    total += count
    const le = boundsSeconds[index] ?? '+Inf'
    return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: total }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sumSeconds },
    { metricName: `${name}_count`, labels, value: total },
  ]
}
