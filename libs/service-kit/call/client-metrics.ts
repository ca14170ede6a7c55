/** A client whose calls are seen by Prometheus: those without an answer, by reason, and the instances that its balancer avoids. */
import type { Metrics } from '../telemetry/metrics.ts'
import { createServiceClient, type ServiceClient, type ServiceClientOptions, type UnavailableReason } from './client.ts'

interface Seen {
  metrics: Metrics
  /** The services that it calls. */
  services: readonly string[]
}

const reasons: readonly UnavailableReason[] = [
  'overloaded',
  'no-instance',
  'unreachable',
  'lost',
  'timed-out',
  'failing',
  'too-large',
]

type Counts = Map<string, Map<UnavailableReason, number>>

/** `overloaded` is the limit of this process; the other reasons lie beyond it. */
export function createCountedClient(options: ServiceClientOptions, { metrics, services }: Seen): ServiceClient {
  const counts: Counts = new Map(services.map((service) => [service, new Map()]))
  const client = createServiceClient({
    ...options,
    onUnavailable(error) {
      const own = counts.get(error.service)
      own?.set(error.reason, (own.get(error.reason) ?? 0) + 1)
      options.onUnavailable?.(error)
    },
  })
  declare(metrics, client, counts)
  return client
}

function declare(metrics: Metrics, client: ServiceClient, counts: Counts) {
  metrics.extend((prom, registers) => {
    new prom.Counter({
      name: 'service_calls_failed_total',
      help: 'Calls to another service without an answer, after all attempts',
      labelNames: ['to', 'reason'],
      registers,
      collect() {
        this.reset()
        for (const [to, own] of counts) for (const reason of reasons) this.inc({ to, reason }, own.get(reason) ?? 0)
      },
    })
    new prom.Gauge({
      name: 'service_instances',
      help: 'Instances of another service: those that get calls, and those that are avoided after failures',
      labelNames: ['to', 'state'],
      registers,
      collect() {
        for (const to of counts.keys()) {
          const instances = client.inspect(to)
          const ejectedCount = instances.filter(({ isEjected }) => isEjected).length
          this.set({ to, state: 'ejected' }, ejectedCount)
          this.set({ to, state: 'used' }, instances.length - ejectedCount)
        }
      },
    })
  })
}
