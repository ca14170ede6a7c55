/**
 * Prometheus metrics of one process: Node's own, one histogram of all HTTP requests by route template (never by URL: a label with a
 * product's number in it is one time series per product), and whatever a service adds to `registry`.
 */
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client'

export interface Metrics {
  /** Add counters and gauges here; they are served on the internal port. */
  registry: Registry
  observeRequest(method: string, route: string, status: number, durationMs: number): void
}

const bucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createMetrics({ service, instanceId }: { service: string; instanceId: string }): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ service, instance: instanceId })
  collectDefaultMetrics({ register: registry })
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the request to the end of the response',
    labelNames: ['method', 'route', 'status'],
    buckets: bucketsSeconds,
    registers: [registry],
  })
  return { registry, observeRequest }

  function observeRequest(method: string, route: string, status: number, durationMs: number) {
    durations.observe({ method, route, status }, durationMs / 1000)
  }
}
