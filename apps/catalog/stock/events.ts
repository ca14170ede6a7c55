/** What the catalog hears from order: placed, confirmed, cancelled. What it answers goes out through the outbox. */
import { OrderEvent } from '@shop/contracts/events'
import type { Redis } from '@shop/redis-kit/connection'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Topic } from '@shop/redis-kit/stream'
import { settle } from '@shop/service-kit/events'
import { eventMustWait } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import { originIn } from '@shop/service-kit/telemetry/origin'
import { cancel, confirm, place } from './stock.ts'
import type { StockStore, StockUpdate } from './store.ts'

export const orderGroup = 'catalog'

/**
 * Orders at work at once per partition. Events of one order may overtake each other then, which the rules bear: in return one
 * order that cannot be handled holds up no other.
 */
const concurrency = 4

/** How soon the work of an instance that died is taken over; a buyer is waiting for it. */
const minIdleMs = 5_000

/** How long after an outage of Postgres an order may still wait for its turn. */
const longestRetryMs = 5_000

interface Dependencies {
  orders: Topic
  stock: StockStore
  /** Called after the commit, with the products whose stock may have changed. Must not reject. */
  forget(skus: readonly string[]): Promise<void>
  /** Unique among the living instances. */
  consumer: string
  /** Makes a blocking connection. */
  connect(): Redis
  log: Log
}

/** Runs until the signal is aborted. */
export function consumeOrders({ orders, stock, forget, consumer, connect, log }: Dependencies) {
  return async (signal: AbortSignal, pulse?: Pulse) => {
    const messages = orders.read({
      group: orderGroup,
      consumer,
      connect,
      signal,
      concurrency,
      minIdleMs,
      isOutage: eventMustWait,
      retryCapMs: longestRetryMs,
      pulse,
      log,
    })
    await Promise.all(Array.from({ length: concurrency }, () => work(messages)))
  }

  /** Ack comes last: whatever dies before it, the event comes again, changes nothing, and the cache is told once more to forget. */
  async function work(messages: ReturnType<Topic['read']>) {
    for await (const message of messages) await settle(message, { schema: OrderEvent, handle, log })
  }

  async function handle(event: OrderEvent) {
    const { skus } = await stock.update(updateFor(event))
    await forget(skus)
  }
}

function updateFor(event: OrderEvent): StockUpdate {
  const { orderId } = event.data
  const cause = { orderId, eventId: event.id, origin: originIn(event) }
  if (event.type === 'order.cancelled') {
    const { wasConfirmed } = event.data
    return { ...cause, rule: (order) => cancel(order, { wasConfirmed }) }
  }
  const { items } = event.data
  const decide = event.type === 'order.placed' ? place : confirm
  return { ...cause, skus: items.map(({ sku }) => sku), rule: (order) => decide(order, items) }
}
