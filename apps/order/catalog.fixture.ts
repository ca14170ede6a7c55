/** The real catalog beside an order service under test: a process, with a database that can be looked into and made to refuse. */
import { createPool } from '@shop/service-kit/storage/database'
import { type RedisWithUsers, startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { testDatabase } from '@shop/test-kit/postgres'
import { startService } from '@shop/test-kit/service'

/** @param order whose streams it reads, and whose identity key it believes. */
export async function startCatalogBeside(order: { variables: Record<string, string>; redis: RedisWithUsers }) {
  const [database, cache] = await Promise.all([testDatabase('catalog'), startRedisWithUsers('cache')])
  const pool = createPool(database.url, { name: 'test' })
  await pool.query(`INSERT INTO categories (slug, name) VALUES ('tea', 'Tea')`)
  const redis = { REDIS_STATE_URL: order.redis.urlAs('catalog'), REDIS_CACHE_URL: cache.urlAs('catalog') }
  const env = { ...order.variables, ...redis, DATABASE_URL: database.url, LOG_LEVEL: 'info' }
  const service = await startService({ app: 'catalog', env })
  return { log: service.log, sell, refuse, refuseNothing, stockOf, reservationsOf, knowsCancelled, stop }

  async function sell(sku: string, stockCount: number): Promise<void> {
    await pool.query(
      `INSERT INTO products (sku, name, description, category, price_cents, stock_count) VALUES ($1, 'Tea', '', 'tea', 450, $2)`,
      [sku, stockCount],
    )
  }

  /** An order of so many pieces fails each time, with an error that is nobody's outage. */
  async function refuse(quantity: number): Promise<void> {
    await pool.query(`ALTER TABLE reservations ADD CONSTRAINT planted CHECK (quantity <> ${quantity})`)
  }

  async function refuseNothing(): Promise<void> {
    await pool.query('ALTER TABLE reservations DROP CONSTRAINT planted')
  }

  async function stockOf(sku: string): Promise<number> {
    return (await pool.query('SELECT stock_count FROM products WHERE sku = $1', [sku])).rows[0].stock_count
  }

  async function reservationsOf(orderId: string): Promise<string[]> {
    const { rows } = await pool.query('SELECT status FROM reservations WHERE order_id = $1', [orderId])
    return rows.map(({ status }) => status)
  }

  async function knowsCancelled(orderId: string): Promise<boolean> {
    return (await pool.query('SELECT FROM cancelled_orders WHERE order_id = $1', [orderId])).rowCount === 1
  }

  async function stop() {
    await service.stop()
    await Promise.all([pool.end(), cache.stop()])
  }
}
