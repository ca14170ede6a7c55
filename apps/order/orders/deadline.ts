/**
 * Every order comes to an end. The steps of the saga are events, and an event may be given up: as a dead letter it waits for a person,
 * and nobody else would ever end its order. What is over its deadline is cancelled, and the catalog and the money follow as always.
 *
 * Pending, because `order.placed` or its answer was given up: then there may be no reservation that could expire. Reserved, because the
 * word that the reservation has expired was: the catalog speaks long before this does, so this is heard only when that was not.
 */
import { every } from '@shop/redis-kit/flow/every'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import { isDependencyOutage } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import type { Metrics } from '@shop/service-kit/telemetry/metrics'
import { timedOut } from './order.ts'
import type { OrderStore } from './store.ts'

interface Dependencies {
  store: Pick<OrderStore, 'waitingFor' | 'update'>
  /** How long an order may take from its placement to its end. */
  deadlineMs: number
  /** Called for each order that was cancelled. @default ignored */
  onTimedOut?: () => void
  /** Called for each order that could not be cancelled. @default ignored */
  onFailed?: (error: unknown) => void
  log: Log
}

const batchCount = 100

/** Every instance may run it. `sweepMs`: the pause between two looks, a quarter more or less. */
export function endOverdueOrders({ sweepMs, ...dependencies }: Dependencies & { sweepMs: number }) {
  return (signal: AbortSignal, pulse?: Pulse) => {
    return every(sweepMs, { signal, jitter: 0.25 }, async () => {
      let failedCount = 0
      const onFailed = (error: unknown) => {
        failedCount += 1
        pulse?.failed(error, 'orders')
      }
      const endedCount = await sweep({ ...dependencies, onFailed }, signal)
      pulse?.ok(failedCount === 0 ? 'orders' : undefined)
      return endedCount < batchCount ? 'done' : 'more'
    })
  }
}

/**
 * One batch, a transaction per order; returns how many were cancelled. An order that is worked on is passed over, and one that has
 * moved on since the look is found to have done so; one that cannot be cancelled holds up no other.
 */
export async function sweep(
  { store, deadlineMs, onTimedOut, onFailed, log }: Dependencies,
  signal?: AbortSignal,
): Promise<number> {
  let endedCount = 0
  for (const orderId of await store.waitingFor(deadlineMs, batchCount)) {
    if (signal?.aborted) break
    try {
      const outcome = await store.update(orderId, timedOut, { onlyIfIdle: true })
      if (outcome?.decision.status !== 'cancelled') continue
      endedCount += 1
      onTimedOut?.()
      log.warn(
        { orderId, was: outcome.order.status },
        'order cancelled at its deadline: look for its events among the dead letters',
      )
    } catch (error) {
      if (isDependencyOutage(error)) throw error
      onFailed?.(error)
      log.error({ err: error, orderId }, 'order cancellation at the deadline postponed')
    }
  }
  return endedCount
}

/** For an alarm: normally there is none. Returns what is to be called for each. */
export function countTimeouts(metrics: Metrics): () => void {
  let count = 0
  metrics.extend((prom, registers) => {
    new prom.Counter({
      name: 'order_timed_out_total',
      help: 'Orders cancelled at their deadline: their events were dead-lettered, or are very late',
      registers,
      collect() {
        this.reset()
        this.inc(count)
      },
    })
  })
  return () => {
    count += 1
  }
}
