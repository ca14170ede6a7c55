/**
 * What caches do, for Prometheus: one `createCacheMetrics` per process, and a name for each cache, which is the label `cache`.
 *
 *     const cacheMetrics = createCacheMetrics(metrics)
 *     const products = createCache(redis, { …, onEvent: cacheMetrics.onEvent('products') })
 *     cacheMetrics.watch('products', products)
 *
 * A hit in memory takes less time than prom-client's `inc`: events are counted in plain numbers, and prom-client is told when it asks.
 */
import type { Cache, CacheEvent, CacheSource, CacheStats, OnEvent } from '@shop/redis-kit/cache'
import type { Registry } from 'prom-client'
import type { Probe } from '../process/health.ts'
import type { Metrics, PromClient } from './metrics.ts'

export interface CacheMetrics {
  /** For the option `onEvent` of the cache of this name. */
  onEvent(cache: string): NonNullable<OnEvent>
  /** Shows its copies, loads and breaker as they are whenever Prometheus asks. */
  watch(cache: string, watched: Pick<Cache<unknown>, 'stats'>): void
}

const sources: readonly CacheSource[] = ['hit-local', 'hit', 'stale', 'miss', 'bypass']

const counters = {
  void: ['cache_fills_refused_total', 'Loaded values that were not stored, because they were invalidated meanwhile'],
  invalidate: ['cache_invalidations_total', 'Invalidations by this process, of ids and of tags'],
  'tag-mismatch': ['cache_tag_mismatches_total', 'Values discarded because one of their tags was invalidated'],
  'local-flush': ['cache_copy_flushes_total', 'Flushes of all copies after a gap of the subscriber'],
  'local-error': ['cache_copy_errors_total', 'Failed subscriptions to invalidations'],
  'load-refused': ['cache_loads_refused_total', 'Loads refused because too many were running and queued'],
  'wait-timeout': ['cache_wait_timeouts_total', "Reads that waited too long for another's load"],
  'refresh-failed': ['cache_refreshes_failed_total', 'Failed refreshes of stale values'],
  refused: ['cache_values_refused_total', 'Written values that cannot be cached'],
  unreadable: ['cache_values_unreadable_total', 'Values that are damaged or of another release'],
  'redis-error': ['cache_redis_errors_total', 'Reads and writes that continued without Redis'],
} as const satisfies Partial<Record<CacheEvent, readonly [name: string, help: string]>>

const gauges = {
  copyCount: ['cache_copies', 'Copies in the memory of this process'],
  copyBytes: ['cache_copies_bytes', 'Size that the copies count for'],
  runningCount: ['cache_loads_running', 'Running loads'],
  queuedCount: ['cache_loads_queued', 'Queued loads'],
} as const satisfies Partial<Record<keyof CacheStats, readonly [name: string, help: string]>>

const breakerStates = ['closed', 'half-open', 'open'] as const

const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

type Counts = Partial<Record<CacheEvent, number>>
type Declaring = [prom: PromClient, registers: [Registry]]

export function createCacheMetrics(metrics: Metrics): CacheMetrics {
  const counts = new Map<string, Counts>()
  const watched = new Map<string, Pick<Cache<unknown>, 'stats'>>()
  const histograms = metrics.extend((...to) => {
    declareCounters(to, counts)
    declareGauges(to, watched)
    return {
      load: histogram(to, {
        name: 'cache_load_duration_seconds',
        help: 'Duration of loads from the source',
        labels: ['outcome'],
      }),
      wait: histogram(to, {
        name: 'cache_lease_wait_duration_seconds',
        help: "Time that reads waited for another's load",
      }),
    }
  })

  return {
    onEvent(cache) {
      const own: Counts = counts.get(cache) ?? {}
      counts.set(cache, own)
      return (event, detail) => {
        own[event] = (own[event] ?? 0) + 1
        if (detail?.durationMs === undefined) return
        const seconds = detail.durationMs / 1_000
        if (event === 'wait') histograms.wait.observe({ cache }, seconds)
        else histograms.load.observe({ cache, outcome: event === 'load' ? 'loaded' : 'failed' }, seconds)
      }
    },
    watch: (cache, one) => void watched.set(cache, one),
  }
}

/** Degraded while the cache's copies are off; the check's error says why: NOT-SUBSCRIBED, SUBSCRIBER-UNHEALTHY or UNDELIVERED. */
export function copiesProbe(name: string, cache: Pick<Cache<unknown>, 'stats'>): Probe {
  async function check() {
    const { copies, copiesOffReason } = cache.stats()
    if (copies === 'off') throw Object.assign(new Error('copies are off'), { code: copiesOffReason?.toUpperCase() })
  }
  return { name, required: false, check }
}

function declareCounters([prom, registers]: Declaring, counts: ReadonlyMap<string, Counts>) {
  new prom.Counter({
    name: 'cache_reads_total',
    help: 'Reads by source of the answer',
    labelNames: ['cache', 'source'],
    registers,
    collect() {
      this.reset()
      for (const [cache, own] of counts) for (const source of sources) this.inc({ cache, source }, own[source] ?? 0)
    },
  })
  for (const [event, [name, help]] of Object.entries(counters)) {
    new prom.Counter({
      name,
      help,
      labelNames: ['cache'],
      registers,
      collect() {
        this.reset()
        for (const [cache, own] of counts) this.inc({ cache }, own[event as CacheEvent] ?? 0)
      },
    })
  }
}

function declareGauges([prom, registers]: Declaring, watched: ReadonlyMap<string, Pick<Cache<unknown>, 'stats'>>) {
  for (const [field, [name, help]] of Object.entries(gauges)) {
    new prom.Gauge({
      name,
      help,
      labelNames: ['cache'],
      registers,
      collect() {
        for (const [cache, one] of watched) this.set({ cache }, one.stats()[field as keyof typeof gauges])
      },
    })
  }
  new prom.Gauge({
    name: 'cache_copies_usable',
    help: '0 while copies are off, because invalidations may not arrive',
    labelNames: ['cache'],
    registers,
    collect() {
      for (const [cache, one] of watched) {
        const { copies } = one.stats()
        if (copies !== 'none') this.set({ cache }, copies === 'on' ? 1 : 0)
      }
    },
  })
  new prom.Gauge({
    name: 'cache_breaker_state',
    help: '1 for the current state of the Redis breaker',
    labelNames: ['cache', 'state'],
    registers,
    collect() {
      for (const [cache, one] of watched) {
        const present = one.stats().breaker
        for (const state of breakerStates) this.set({ cache, state }, state === present ? 1 : 0)
      }
    },
  })
}

interface Described {
  name: string
  help: string
  labels?: string[]
}

function histogram([prom, registers]: Declaring, { name, help, labels = [] }: Described) {
  return new prom.Histogram({ name, help, labelNames: ['cache', ...labels], buckets: durationBuckets, registers })
}
