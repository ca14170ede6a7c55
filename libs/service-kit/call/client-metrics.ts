/**
 * Calls to other services, for Prometheus: those without an answer, by reason, and the instances that the balancer avoids.
 *
 *     const callMetrics = createCallMetrics(metrics)
 *     const services = createServiceClient({ directory, onUnavailable: callMetrics.onUnavailable })
 *     callMetrics.watch(services, ['catalog'])
 */
import type { Metrics } from '../telemetry/metrics.ts'
import type { ServiceClient, ServiceUnavailable, UnavailableReason } from './client.ts'

export interface CallMetrics {
  /** For the option `onUnavailable` of the client. `overloaded` is this process's own limit; the other reasons lie beyond it. */
  onUnavailable(error: ServiceUnavailable): void
  /** Shows the instances of these services as the balancer of ordinary calls sees them whenever Prometheus asks. */
  watch(client: Pick<ServiceClient, 'inspect'>, services: readonly string[]): void
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

type Watched = { client: Pick<ServiceClient, 'inspect'>; service: string }

export function createCallMetrics(metrics: Metrics): CallMetrics {
  const counts = new Map<string, Map<UnavailableReason, number>>()
  const watched: Watched[] = []
  declare(metrics, counts, watched)

  return {
    onUnavailable({ service, reason }) {
      const own = counts.get(service) ?? new Map<UnavailableReason, number>()
      own.set(reason, (own.get(reason) ?? 0) + 1)
      counts.set(service, own)
    },
    watch: (client, services) => void watched.push(...services.map((service) => ({ client, service }))),
  }
}

function declare(
  metrics: Metrics,
  counts: ReadonlyMap<string, ReadonlyMap<UnavailableReason, number>>,
  watched: readonly Watched[],
) {
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
        for (const { client, service: to } of watched) {
          const instances = client.inspect(to)
          const ejectedCount = instances.filter(({ isEjected }) => isEjected).length
          this.set({ to, state: 'ejected' }, ejectedCount)
          this.set({ to, state: 'used' }, instances.length - ejectedCount)
        }
      },
    })
  })
}
