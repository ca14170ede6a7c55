/**
 * What the catalog tells of its products, and hears itself. Whoever writes a product has the cache forget it after the commit, and may
 * die between the two, or find no cache to tell. The event is committed with the write, so it has it done once more, as often as it takes.
 */
import { randomUUIDv7 } from 'node:crypto'
import { ProductEvent } from '@shop/contracts/events'
import { topics } from '@shop/contracts/topics'
import type { Redis } from '@shop/redis-kit/connection'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Topic } from '@shop/redis-kit/stream'
import { encodeEvent, settle } from '@shop/service-kit/events'
import type { OutboxEvent } from '@shop/service-kit/outbox'
import { eventMustWait } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import type { Origin } from '@shop/service-kit/telemetry/origin'
import type { Change } from './freshness.ts'

const cacheGroup = 'catalog-cache'

const { service, entity } = topics.catalogProducts
const topic = `${service}:${entity}`

/** In hand at once. The order does not matter: to forget is to forget. */
const concurrency = 4
/** How long after an outage of the cache an event may still wait for its turn. */
const longestRetryMs = 2_000

export function changeEvent({ skus, areCountsChanged = false }: Change, origin?: Origin): OutboxEvent {
  return outboxEvent('product.changed', { skus, areCountsChanged }, origin)
}

export function removalEvent(sku: string, origin?: Origin): OutboxEvent {
  return outboxEvent('product.removed', { skus: [sku] }, origin)
}

/** A key of its own for each: events that need no order must not wait for each other in `enqueue`. */
function outboxEvent(type: ProductEvent['type'], data: object, origin?: Origin): OutboxEvent {
  const eventId = randomUUIDv7()
  return { eventId, topic, key: eventId, type, body: encodeEvent({ id: eventId, type, data }, origin) }
}

interface Dependencies {
  changes: Topic
  /** Rejects when the cache cannot be told. */
  invalidate(change: Change): Promise<void>
  /** Unique among the living instances. */
  consumer: string
  /** Makes a blocking connection. */
  connect(): Redis
  log: Log
}

/** Runs until the signal is aborted. One of the instances handles each event; the invalidation itself reaches the memory of all. */
export function consumeChanges({ changes, invalidate, consumer, connect, log }: Dependencies) {
  return async (signal: AbortSignal, pulse?: Pulse) => {
    const messages = changes.read({
      group: cacheGroup,
      consumer,
      connect,
      signal,
      concurrency,
      isOutage: eventMustWait,
      retryCapMs: longestRetryMs,
      pulse,
      log,
    })
    await Promise.all(Array.from({ length: concurrency }, () => work(messages)))
  }

  async function work(messages: ReturnType<Topic['read']>) {
    for await (const message of messages) await settle(message, { schema: ProductEvent, handle, log })
  }

  async function handle(event: ProductEvent) {
    await invalidate(changeOf(event))
  }
}

function changeOf({ type, data }: ProductEvent): Change {
  return { skus: data.skus, areCountsChanged: type === 'product.removed' || data.areCountsChanged }
}
