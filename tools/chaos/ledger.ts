/** What every request of a run got, and what follows from it: failures by route, and how long a route stayed broken after its cause. */
import type { Incident } from './plan.ts'

/** An HTTP status, or why there was no answer: `timeout`, `ECONNREFUSED`, `ECONNRESET`. */
export type Outcome = number | string

export interface Entry {
  /** Method and template: `GET /api/products/:sku`. */
  route: string
  startMs: number
  endMs: number
  outcome: Outcome
}

export interface RouteFigures {
  route: string
  requestCount: number
  failedCount: number
  /** Failures by outcome. */
  outcomes: Record<string, number>
  /**
   * From the end of a cause to the end of the last failed request that began after it and ended before the next cause. The longest of
   * the run, and which cause it was.
   */
  longestOutageMs: number
  outageCause?: Incident
}

/** A status below 500 is an answer. 401 is a failure too: no shopper signs out, so a session was lost or refused. */
export function isFailure(outcome: Outcome): boolean {
  return typeof outcome === 'string' || outcome >= 500 || outcome === 401
}

export function routeFigures(entries: readonly Entry[], incidents: readonly Incident[]): RouteFigures[] {
  const routes = Map.groupBy(entries, ({ route }) => route)
  return [...routes]
    .map(([route, all]) => {
      const failed = all.filter(({ outcome }) => isFailure(outcome))
      return {
        route,
        requestCount: all.length,
        failedCount: failed.length,
        outcomes: countBy(failed, ({ outcome }) => String(outcome)),
        ...longestOutage(failed, incidents),
      }
    })
    .toSorted((a, b) => (a.route < b.route ? -1 : 1))
}

function longestOutage(failed: readonly Entry[], incidents: readonly Incident[]) {
  let longestOutageMs = 0
  let outageCause: Incident | undefined
  for (const { cause, fromMs, untilMs } of quietTimes(incidents)) {
    const late = failed.filter(({ startMs, endMs }) => startMs >= fromMs && endMs < untilMs)
    const outageMs = Math.max(0, ...late.map(({ endMs }) => endMs - fromMs))
    if (outageMs > longestOutageMs) {
      longestOutageMs = outageMs
      outageCause = cause
    }
  }
  return { longestOutageMs, ...(outageCause && { outageCause }) }
}

/** The times without any cause, each with the cause that ended last before it. */
function quietTimes(incidents: readonly Incident[]) {
  const endOf = ({ startMs, durationMs }: Incident) => startMs + durationMs
  const inOrder = incidents.toSorted((a, b) => endOf(a) - endOf(b))
  return inOrder.flatMap((cause) => {
    const fromMs = endOf(cause)
    if (incidents.some((other) => other !== cause && other.startMs <= fromMs && endOf(other) > fromMs)) return []
    const later = incidents.map(({ startMs }) => startMs).filter((startMs) => startMs > fromMs)
    return [{ cause, fromMs, untilMs: Math.min(...later, Number.POSITIVE_INFINITY) }]
  })
}

function countBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const item of items) counts[nameOf(item)] = (counts[nameOf(item)] ?? 0) + 1
  return counts
}
