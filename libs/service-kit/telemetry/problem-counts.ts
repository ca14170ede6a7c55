/**
 * A Prometheus counter of all answers that are problems, by their stable code: what was refused, and why. One place sees every limit that
 * answers for itself: full bulkheads and places (`sign-in-overloaded`, `imports-busy`, `streams-exhausted`), limits, outages.
 */
import * as prom from 'prom-client'

/** Codes are written in the code, so they are few. Should that ever be wrong, the rest is counted together. */
const MAX_SERIES = 500

interface Series {
  status: number
  code: string
  count: number
}

/** Declares the counter, and returns how to count one. */
export function countProblems(registers: [prom.Registry]): (status: number, code: string) => void {
  const all = new Map<string, Series>()
  new prom.Counter({
    name: 'http_problems_total',
    help: 'Answers that are problems, by status and code',
    labelNames: ['status', 'code'],
    registers,
    collect() {
      this.reset()
      for (const { status, code, count } of all.values()) this.inc({ status, code }, count)
    },
  })
  return count

  function count(status: number, code: string) {
    const key = `${status} ${code}`
    const series = all.get(key) ?? add(key, { status, code, count: 0 })
    series.count += 1
  }

  function add(key: string, series: Series): Series {
    const isFull = all.size >= MAX_SERIES
    const added = isFull ? (all.get('other') ?? { status: 0, code: 'other', count: 0 }) : series
    all.set(isFull ? 'other' : key, added)
    return added
  }
}
