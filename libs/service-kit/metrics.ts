/**
 * Prometheus metrics of one process: Node's own, one histogram of all HTTP requests by route template (never by URL: a label with a
 * product's number in it is one time series per product), and whatever a service adds. The client library is loaded when the process
 * already listens; what is observed before is kept and told to it then.
 */
import type { Registry } from 'prom-client'

export type PromClient = typeof import('prom-client')

export interface Metrics {
  /** Declares further metrics as soon as the library is there: `metrics.extend((prom, registers) => new prom.Gauge({ …, registers }))`. */
  extend(declare: (prom: PromClient, registers: [Registry]) => void): void
  observeRequest(method: string, route: string, status: number, durationMs: number): void
  /** Loads the library. Idempotent. */
  load(): Promise<void>
  /** The page that Prometheus reads. */
  page(): Promise<{ contentType: string; text: string }>
}

const bucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Kept until the library is loaded; a server in a test that never loads it keeps no more than this. */
const maxEarly = 1_000

type Observation = [method: string, route: string, status: number, durationMs: number]

export function createMetrics(labels: { service: string; instanceId: string }): Metrics {
  const extensions: ((prom: PromClient, registers: [Registry]) => void)[] = []
  const early: Observation[] = []
  let loading: Promise<Registry> | undefined
  let observe = (...observation: Observation) => {
    if (early.length < maxEarly) early.push(observation)
  }
  let extend = (declare: (typeof extensions)[number]) => {
    extensions.push(declare)
  }

  return {
    extend: (declare) => extend(declare),
    observeRequest: (...observation) => observe(...observation),
    load: async () => void (await registry()),
    async page() {
      const loaded = await registry()
      return { contentType: loaded.contentType, text: await loaded.metrics() }
    },
  }

  function registry(): Promise<Registry> {
    loading ??= import('prom-client').then((prom) => {
      const loaded = createRegistry(prom, labels)
      observe = requestHistogram(prom, loaded)
      for (const observation of early.splice(0)) observe(...observation)
      extend = (declare) => declare(prom, [loaded])
      for (const declare of extensions.splice(0)) extend(declare)
      return loaded
    })
    return loading
  }
}

function createRegistry(prom: PromClient, { service, instanceId }: { service: string; instanceId: string }): Registry {
  const registry = new prom.Registry()
  registry.setDefaultLabels({ service, instance: instanceId })
  prom.collectDefaultMetrics({ register: registry })
  return registry
}

function requestHistogram(prom: PromClient, registry: Registry): (...observation: Observation) => void {
  const durations = new prom.Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the request to the end of the response',
    labelNames: ['method', 'route', 'status'],
    buckets: bucketsSeconds,
    registers: [registry],
  })
  return (method, route, status, durationMs) => durations.observe({ method, route, status }, durationMs / 1000)
}
