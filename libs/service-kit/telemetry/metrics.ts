/**
 * Prometheus metrics of one process: Node's own, one histogram of all HTTP requests by route template (never by URL: a label with a
 * product's number in it is one time series per product), a counter of problems by code, and the metrics that a service adds.
 */
import * as prom from 'prom-client'
import { createDurations } from './durations.ts'
import { countProblems } from './problem-counts.ts'

export type PromClient = typeof prom

export interface Metrics {
  /** Declares further metrics, and returns the result: `metrics.extend((prom, registers) => new prom.Gauge({ …, registers }))`. */
  extend<T>(declare: (prom: PromClient, registers: [prom.Registry]) => T): T
  observeRequest(method: string, route: string, status: number, durationMs: number): void
  /** Counts an answer that is a problem. */
  countProblem(status: number, code: string): void
  /** The page that Prometheus reads. */
  page(): Promise<{ contentType: string; text: string }>
}

export function createMetrics({ service, instanceId }: { service: string; instanceId: string }): Metrics {
  const registry = new prom.Registry()
  registry.setDefaultLabels({ service, instance: instanceId })
  const durations = createDurations({
    name: 'http_request_duration_seconds',
    help: 'Time from the request to the end of the response',
  })
  registry.registerMetric(durations.metric)

  return {
    extend: (declare) => declare(prom, [registry]),
    observeRequest: durations.observe,
    countProblem: countProblems([registry]),
    page: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}
