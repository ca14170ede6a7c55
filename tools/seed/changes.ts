/**
 * Tells a shop that runs which products it shows are old, as the catalog itself does: by an event in the transaction that changes them. The
 * catalog's relay publishes it, and its caches forget, in Redis and in the memory of every instance. So the seed needs no Redis,
 * and leaves alone what is there and still right: sessions, carts, the events of orders.
 */
import { randomUUIDv7 } from 'node:crypto'
import type { ProductChanged } from '@shop/contracts/events'
import { topics } from '@shop/contracts/topics'
import { enqueue, type OutboxEvent, type OutboxTransaction } from '@shop/service-kit/outbox'
import type pg from 'pg'

const skusPerEvent = 500
const { service, entity } = topics.catalogProducts

/** To be called within a transaction, after its changes. `skus` is a query with a column `sku`. */
export async function announceChanges(client: pg.Client, skus: string): Promise<void> {
  const { rows } = await client.query<{ skus: string[] }>(
    `SELECT array_agg(sku) AS skus
     FROM (SELECT sku, (row_number() OVER (ORDER BY sku) - 1) / ${skusPerEvent} AS part FROM (${skus}) AS changed) AS numbered
     GROUP BY part`,
  )
  for (const one of rows) await enqueue(transactionOf(client), changeEvent(one.skus))
}

/** A key of its own for each: to forget needs no order. */
function changeEvent(skus: string[]): OutboxEvent {
  const id = randomUUIDv7()
  const event: ProductChanged = {
    id,
    type: 'product.changed',
    occurredAtMs: Date.now(),
    data: { skus, areCountsChanged: true },
  }
  return { eventId: id, topic: `${service}:${entity}`, key: id, type: event.type, body: JSON.stringify(event) }
}

/** What `enqueue` needs of Prisma. */
function transactionOf(client: pg.Client): OutboxTransaction {
  const run = async (text: string, values: unknown[]) => (await client.query(text, values)).rowCount ?? 0
  return {
    $executeRawUnsafe: (text, ...values) => run(text, values),
    outboxEvent: {
      create: ({ data: { eventId, topic, key, type, body } }) =>
        run('INSERT INTO outbox (event_id, topic, key, type, body) VALUES ($1, $2, $3, $4, $5)', [
          ...[eventId, topic, key, type, body],
        ]),
    },
  }
}
