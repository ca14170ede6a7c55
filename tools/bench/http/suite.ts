/** How fast the catalog's hot read is beside Fastify with less around it, and with other sources behind it. */
import { generateIdentityKeys } from '@shop/service-kit/identity'
import { startPostgres } from '@shop/test-kit/postgres-server'
import { createTemplate, databaseUrl } from '@shop/test-kit/postgres-template'
import { startRedis } from '@shop/test-kit/redis-server'
import pg from 'pg'
import { makeProduct, skus } from '../harness/products.ts'
import { redisVersion } from '../harness/servers.ts'
import type { Suite } from '../harness/suite.ts'
import type { Servers } from './context.ts'
import { product } from './product.ts'

export const suite: Suite<Servers> = {
  name: 'http',
  title: 'HTTP: the hot read of a product',
  packages: ['fastify', 'ioredis', 'bentocache', 'pg', '@prisma/client'],
  async setUp(report) {
    const [cache, state, postgres] = await Promise.all([startRedis(), startRedis(), startPostgres()])
    const tearDown = async () => void (await Promise.all([cache, state, postgres].map((server) => server.stop())))
    try {
      const { name } = await createTemplate(postgres.url, 'catalog')
      const url = databaseUrl(postgres.url, name)
      report('http: 10,000 products …')
      const version = await fillDatabase(url)
      const keys = generateIdentityKeys()
      const identity = { privateKey: keys.IDENTITY_PRIVATE_KEY, publicKey: keys.IDENTITY_PUBLIC_KEY }
      return {
        context: { redisUrl: cache.url, stateUrl: state.url, databaseUrl: url, identity },
        versions: { redis: await redisVersion(cache.url), postgres: version },
        tearDown,
      }
    } catch (error) {
      await tearDown()
      throw error
    }
  },
  tables: [product],
}

/** Resolves to the version of Postgres. */
async function fillDatabase(url: string): Promise<string> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(`INSERT INTO categories (slug, name) VALUES ('tea', 'Tea')`)
    await client.query(
      `INSERT INTO products (sku, name, description, category, price_cents, stock_count)
       SELECT sku, name, description, category, "priceCents", "stockCount" FROM json_to_recordset($1)
       AS p (sku text, name text, description text, category text, "priceCents" int, "stockCount" int)`,
      [JSON.stringify(skus.map(makeProduct))],
    )
    await client.query('ANALYZE')
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
    return rows[0]?.server_version ?? 'unknown'
  } finally {
    await client.end()
  }
}
