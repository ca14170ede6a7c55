/** What the services have written, read from their databases as it is. */
import { createClient, unlimited } from '@shop/service-kit/storage/database'
import type pg from 'pg'

export interface OrderRow {
  id: string
  userId: string
  status: string
  totalCents: number
  createdMs: number
  /** By sku. */
  lines: Record<string, number>
  refund: string | null
}

export interface Tables {
  orders: OrderRow[]
  records: { userId: string; keyHash: string; orderId: string }[]
  charges: { key: string; amountCents: number; outcome: string; refunded: boolean }[]
  reservations: { orderId: string; sku: string; quantity: number; status: string }[]
  stock: Map<string, number>
  outbox: { service: string; eventId: string; type: string; key: string; isPublished: boolean }[]
  inbox: Map<string, Set<string>>
}

/** Rejects when a database does not answer. */
export async function readTables(urls: { catalog: string; order: string }): Promise<Tables> {
  const [order, catalog] = await Promise.all([connect(urls.order), connect(urls.catalog)])
  try {
    return {
      orders: await rows<OrderRow>(order, ordersQuery),
      records: await rows(
        order,
        `SELECT user_id AS "userId", key_hash AS "keyHash", order_id AS "orderId" FROM idempotency_records`,
      ),
      charges: await rows(
        order,
        `SELECT key, amount_cents::float8 AS "amountCents", outcome, refunded FROM simulated_charges`,
      ),
      reservations: await rows(
        catalog,
        `SELECT order_id AS "orderId", sku, quantity::float8, status FROM reservations`,
      ),
      stock: await readStock(catalog),
      outbox: [...(await outboxOf(order, 'order')), ...(await outboxOf(catalog, 'catalog'))],
      inbox: new Map([...(await inboxOf(order)), ...(await inboxOf(catalog))]),
    }
  } finally {
    await Promise.all([order.end(), catalog.end()])
  }
}

const ordersQuery = `
  SELECT id, user_id AS "userId", orders.status, total_cents::float8 AS "totalCents", refunds.status AS refund,
    (extract(epoch FROM orders.created_at) * 1000)::float8 AS "createdMs",
    (SELECT jsonb_object_agg(sku, quantity) FROM order_lines WHERE order_id = orders.id) AS lines
  FROM orders LEFT JOIN refunds ON refunds.order_id = orders.id`

async function connect(connectionString: string): Promise<pg.Client> {
  const client = createClient(connectionString, { name: 'chaos', connectTimeoutMs: 5_000, ...unlimited })
  await client.connect()
  return client
}

async function rows<Row>(client: pg.Client, query: string): Promise<Row[]> {
  return (await client.query(query)).rows
}

async function readStock(client: pg.Client): Promise<Map<string, number>> {
  const found = await rows<{ sku: string; count: number }>(
    client,
    'SELECT sku, stock_count::float8 AS count FROM products',
  )
  return new Map(found.map(({ sku, count }) => [sku, count]))
}

function outboxOf(client: pg.Client, service: string): Promise<Tables['outbox']> {
  return rows(
    client,
    `SELECT '${service}' AS service, event_id AS "eventId", type, key, published_at IS NOT NULL AS "isPublished" FROM outbox`,
  )
}

async function inboxOf(client: pg.Client): Promise<[string, Set<string>][]> {
  const found = await rows<{ group: string; ids: string[] }>(
    client,
    'SELECT "group", array_agg(event_id::text) AS ids FROM inbox GROUP BY "group"',
  )
  return found.map(({ group, ids }) => [group, new Set(ids)])
}

/** Stock of each product, for `stockBefore`. */
export async function stockOf(catalogUrl: string): Promise<Map<string, number>> {
  const client = await connect(catalogUrl)
  try {
    return await readStock(client)
  } finally {
    await client.end()
  }
}
