/** What the catalog hears from order: placed, confirmed, cancelled. What it answers goes out through the outbox. */
import { OrderEvent } from '@shop/contracts/events'
import type { Redis } from '@shop/redis-kit/connection'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Topic } from '@shop/redis-kit/stream'
import { settle } from '@shop/service-kit/events'
import { eventMustWait } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import { originIn } from '@shop/service-kit/telemetry/origin'
import { cancel, confirm, type Line, place } from './stock.ts'
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

/** A new type of the contracts does not compile until it has a case. `settle` acknowledges the types of a newer release without this. */
function updateFor(event: OrderEvent): StockUpdate {
  const { orderId } = event.data
  const common = { orderId, eventId: event.id, origin: originIn(event) }
  switch (event.type) {
    case 'order.placed':
      return { ...common, ...ordered(event.data.items, place) }
    case 'order.confirmed':
      return { ...common, ...ordered(event.data.items, confirm) }
    case 'order.cancelled': {
      const { wasConfirmed } = event.data
      return { ...common, rule: (order) => cancel(order, { wasConfirmed }) }
    }
  }
}

function ordered(items: readonly Line[], decide: typeof place): Pick<StockUpdate, 'skus' | 'rule'> {
  return { skus: items.map(({ sku }) => sku), rule: (order) => decide(order, items) }
}
