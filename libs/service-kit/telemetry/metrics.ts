/**
 * Prometheus metrics of one process: Node's own, one histogram of all HTTP requests by route template (never by URL: a label with a
 * product's number in it is one time series per product), and whatever a service adds. prom-client is loaded when the process listens.
 */
import type { Registry } from 'prom-client'
import { createDurations } from './durations.ts'

export type PromClient = typeof import('prom-client')

export interface Metrics {
  /** Declares further metrics as soon as the library is there: `metrics.extend((prom, registers) => new prom.Gauge({ …, registers }))`. */
  extend(declare: Declare): void
  observeRequest(method: string, route: string, status: number, durationMs: number): void
  /** Loads the library. Idempotent. */
  load(): Promise<void>
  /** The page that Prometheus reads. */
  page(): Promise<{ contentType: string; text: string }>
}

type Declare = (prom: PromClient, registers: [Registry]) => void

export function createMetrics({ service, instanceId }: { service: string; instanceId: string }): Metrics {
  const durations = createDurations({
    name: 'http_request_duration_seconds',
    help: 'Time from the request to the end of the response',
  })
  const waiting: Declare[] = [(_prom, [registry]) => registry.registerMetric(durations.metric)]
  let loading: Promise<{ prom: PromClient; registry: Registry }> | undefined
  let loaded: { prom: PromClient; registry: Registry } | undefined

  return { extend, observeRequest: durations.observe, load, page }

  function extend(declare: Declare) {
    if (loaded === undefined) waiting.push(declare)
    else declare(loaded.prom, [loaded.registry])
  }

  async function load() {
    await library()
  }

  async function page() {
    const { registry } = await library()
    return { contentType: registry.contentType, text: await registry.metrics() }
  }

  function library() {
    loading ??= import('prom-client').then((prom) => {
      const registry = new prom.Registry()
      registry.setDefaultLabels({ service, instance: instanceId })
      prom.collectDefaultMetrics({ register: registry })
      loaded = { prom, registry }
      for (const declare of waiting.splice(0)) declare(prom, [registry])
      return loaded
    })
    return loading
  }
}
