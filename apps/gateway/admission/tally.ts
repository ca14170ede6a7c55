/** Refusals are counted and summed up in the log: a line per refused request would cost more than the refusal. */
import type { Log } from '@shop/service-kit/telemetry/log'
import type { Metrics } from '@shop/service-kit/telemetry/metrics'

/** Why a request or a connection was refused before anything was done for it. */
export type Reason = 'rate-limit' | 'limits-unavailable' | 'bulkhead' | 'bulkhead-address' | 'connections'

export interface Tally {
  /** @param what the policy, or the classes of the bulkhead: one of few */
  count(reason: Reason, what: string): void
  /** Reports what no line has reported. */
  close(): void
}

export interface TallyOptions {
  log: Pick<Log, 'warn'>
  metrics: Metrics
  /** @default a minute */
  lineEveryMs?: number
}

/** Refusals for one reason by one policy, bulkhead or cap. */
interface Entry {
  reason: Reason
  by: string
  totalCount: number
  /** Of them, those that a line has reported. */
  reportedCount: number
}

/** The first refusal after a quiet time is logged at once, all others once a minute. */
export function createTally({ log, metrics, lineEveryMs = 60_000 }: TallyOptions): Tally {
  const entries = new Map<string, Entry>()
  let timer: NodeJS.Timeout | undefined
  declareMetric(metrics, entries)
  return { count, close }

  function count(reason: Reason, by: string) {
    const key = `${reason} ${by}`
    const entry = entries.get(key)
    if (entry) entry.totalCount += 1
    else entries.set(key, { reason, by, totalCount: 1, reportedCount: 0 })
    if (timer === undefined) report()
  }

  function report() {
    timer = undefined
    const refused = [...entries.values()].flatMap(({ reason, by, totalCount, reportedCount }) => {
      return totalCount > reportedCount ? [{ reason, by, count: totalCount - reportedCount }] : []
    })
    if (refused.length === 0) return
    log.warn({ refused }, 'requests refused')
    for (const entry of entries.values()) entry.reportedCount = entry.totalCount
    timer = setTimeout(report, lineEveryMs).unref()
  }

  function close() {
    clearTimeout(timer)
    if (timer !== undefined) report()
    clearTimeout(timer)
  }
}

/** Read when the page of metrics is: a refusal must not pay for labels. */
function declareMetric(metrics: Metrics, entries: ReadonlyMap<string, Entry>) {
  metrics.extend((prom, registers) => {
    return new prom.Counter({
      name: 'gateway_refusals_total',
      help: 'Requests and connections refused before they were served',
      labelNames: ['reason', 'by'],
      registers,
      collect() {
        this.reset()
        for (const { reason, by, totalCount } of entries.values()) this.inc({ reason, by }, totalCount)
      },
    })
  })
}
