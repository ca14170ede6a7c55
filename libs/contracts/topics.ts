/** The streams between the services: who owns a topic, into how many partitions its keys are spread, and who reads it. */
export const topics = {
  orderEvents: { service: 'order', entity: 'events', partitions: 2, readers: ['catalog'] },
  catalogStock: { service: 'catalog', entity: 'stock', partitions: 2, readers: ['order'] },
} as const
