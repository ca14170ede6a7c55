/**
 * An order as it happens. What is true is the timeline in Postgres; a hint over pub/sub says only that there is more of it. A hint that
 * is lost is made up for: after a gap everybody looks again, and whoever hears nothing looks now and then anyway.
 */
import type { OrderStatus } from '@shop/contracts/order'
import { createAlarm } from '@shop/redis-kit/flow/alarm'
import { about } from '@shop/redis-kit/flow/jitter'
import type { Channel } from '@shop/redis-kit/pubsub'
import type { EventStreams } from '@shop/service-kit/http/event-stream'
import { isDependencyOutage } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import type { Metrics } from '@shop/service-kit/telemetry/metrics'
import type { StoredEntry } from './row.ts'
import type { OrderStore } from './store.ts'

export interface Hint {
  /** Of the newest entry in the order's timeline. */
  number: number
}

interface Dependencies {
  hints: Channel<Hint>
  log: Log
  /** How often to look without having heard anything, a quarter more or less. @default 10_000 */
  lookEveryMs?: number
}

/** After a gap not everybody asks Postgres at once. */
const gapSpreadMs = 500

interface Following {
  orderId: string
  /** The number of the last entry that is known. */
  after: number
  signal: AbortSignal
}

export function createLiveOrders({ hints, log, lookEveryMs = 10_000 }: Dependencies) {
  const alarms = new Set<() => void>()
  let lostCount = 0
  hints.onGap(() => {
    for (const ring of alarms) setTimeout(ring, Math.random() * gapSpreadMs).unref()
  })
  return { tell, follow, lostCount: () => lostCount }

  /** After the commit. Nobody waits for it and nothing fails by it. */
  function tell(orderId: string, number: number): void {
    hints.publish(orderId, { number }).catch((error) => {
      lostCount += 1
      log.debug({ err: error, orderId }, 'order hint lost; followers poll')
    })
  }

  /** Every entry after the one of this number, as it is written; ends when the order is settled, or when the signal is aborted. */
  async function* follow(
    store: Pick<OrderStore, 'entriesAfter'>,
    { orderId, after, signal }: Following,
  ): AsyncGenerator<StoredEntry> {
    const alarm = createAlarm()
    let seen = after
    // First listen, then look: nothing falls in between.
    const stopListening = await listen(orderId, ({ number }) => number > seen && alarm.ring())
    alarms.add(alarm.ring)
    try {
      while (!signal.aborted) {
        const entries = await look(store, orderId, seen)
        for (const entry of entries) {
          seen = entry.number
          yield entry
        }
        if (isSettled(entries.at(-1)?.status)) return
        await alarm.next(about(lookEveryMs, 0.25), signal)
      }
    } finally {
      alarms.delete(alarm.ring)
      await stopListening()
    }
  }

  async function listen(orderId: string, listener: (hint: Hint) => void): Promise<() => Promise<void>> {
    try {
      return await hints.subscribe(orderId, listener)
    } catch (error) {
      log.warn({ err: error, orderId }, 'order hints not subscribed; the follower polls')
      return async () => {}
    }
  }

  /** Postgres away is no end: the next look may work. */
  async function look(store: Pick<OrderStore, 'entriesAfter'>, orderId: string, after: number): Promise<StoredEntry[]> {
    try {
      return await store.entriesAfter(orderId, after)
    } catch (error) {
      if (!isDependencyOutage(error)) throw error
      log.warn({ err: error, orderId }, 'order progress not read; the follower tries again')
      return []
    }
  }
}

export type LiveOrders = ReturnType<typeof createLiveOrders>

export function isSettled(status: OrderStatus | undefined): boolean {
  return status === 'confirmed' || status === 'cancelled'
}

export function countStreams(metrics: Metrics, { live, streams }: { live: LiveOrders; streams: EventStreams }): void {
  metrics.extend((prom, registers) => {
    new prom.Gauge({
      name: 'order_event_streams',
      help: 'Open event streams',
      registers,
      collect() {
        this.set(streams.count())
      },
    })
    new prom.Counter({
      name: 'order_hints_lost_total',
      help: 'Lost hints about changed orders; their followers poll',
      registers,
      collect() {
        this.reset()
        this.inc(live.lostCount())
      },
    })
  })
}
