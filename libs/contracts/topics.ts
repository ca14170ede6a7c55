/** The streams between the services: who owns a topic and into how many partitions its keys are spread. */
export const topics = {
  orderEvents: { service: 'order', entity: 'events', partitions: 2 },
  catalogStock: { service: 'catalog', entity: 'stock', partitions: 2 },
} as const
