/**
 * The streams between the services: who owns a topic, into how many partitions its keys are spread, and who reads it. A group that
 * reads writes too: what it has finished, retries or gives up.
 */
export const topics = {
  orderEvents: { service: 'order', entity: 'events', partitions: 2, sharedWith: { catalog: 'write' } },
  catalogStock: { service: 'catalog', entity: 'stock', partitions: 2, sharedWith: { order: 'write' } },
  /** For the catalog itself: see what invalidates its cache. */
  catalogProducts: { service: 'catalog', entity: 'products', partitions: 1, sharedWith: {} },
} as const
