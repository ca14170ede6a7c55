/**
 * The streams between the services: who owns a topic, into how many partitions its keys are spread, and who reads it.
 */
import type { InternalServiceName, ServiceName } from './services.ts'

export const topics = {
  orderEvents: topic('order', 'events', { partitions: 2, readers: ['catalog'] }),
  catalogStock: topic('catalog', 'stock', { partitions: 2, readers: ['order'] }),
  /** The catalog itself reads it: see apps/catalog/products/events.ts. */
  catalogProducts: topic('catalog', 'products', { partitions: 1, readers: [] }),
}

interface TopicOptions {
  partitions: number
  /** Other services than the owner. */
  readers: readonly ServiceName[]
}

/** A group that reads writes too: what it has finished, retries or dead-letters. */
function topic(service: InternalServiceName, entity: string, { partitions, readers }: TopicOptions) {
  return {
    service,
    entity,
    partitions,
    sharedWith: Object.fromEntries(readers.map((name) => [name, 'write' as const])),
  }
}
