/** A catalog for tests: a fresh database, two Redis servers of its own that may be killed, and the app as it is in production. */

import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/client'
import { createTopic } from '@shop/redis-kit/stream'
import { loadConfig } from '@shop/service-kit/config'
import { createPool, createPrismaAdapter } from '@shop/service-kit/database'
import { createIdentityMinter, generateIdentityKeys, type Identity } from '@shop/service-kit/identity'
import { createLog } from '@shop/service-kit/log'
import { createMetrics } from '@shop/service-kit/metrics'
import { testDatabase } from '@shop/test-kit/postgres'
import { startRedis } from '@shop/test-kit/redis-server'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'
import { keys } from './keys.ts'
import { PrismaClient } from './prisma/client/client.ts'

export const adminId = '11111111-1111-4111-8111-111111111111'

interface Ask {
  as?: Identity['role']
  method?: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE'
  headers?: Record<string, string>
  body?: object
}

export async function startCatalog(env: Record<string, string> = {}) {
  const [database, cache, state] = await Promise.all([startDatabase(), startRedis(), startRedis()])
  const identity = generateIdentityKeys()
  const mint = createIdentityMinter(identity.IDENTITY_PRIVATE_KEY)
  const config = loadConfig(configSchema, {
    DATABASE_URL: database.url,
    REDIS_CACHE_URL: cache.url,
    REDIS_STATE_URL: state.url,
    IDENTITY_PUBLIC_KEY: identity.IDENTITY_PUBLIC_KEY,
    ...env,
  })
  const stopping = new AbortController()
  const instance = { name: 'catalog', instanceId: 'catalog-test' }
  const log = createLog({ service: 'catalog', instanceId: 'catalog-test', level: 'silent' })
  const metrics = createMetrics({ service: 'catalog', instanceId: 'catalog-test' })
  const app = await buildApp(config, { ...instance, log, metrics, stopping: stopping.signal })
  const server = app.server as unknown as import('@shop/service-kit/server').Server
  const redis = connectRedis(state.url, { name: 'test' })
  await whenReady(redis, 5_000)
  let loops: Promise<unknown> | undefined

  return {
    ...database,
    cache,
    state,
    server,
    ask,
    runLoops,
    orders: createTopic(redis, { keys: keys.orders }),
    announcements: createTopic(redis, { keys: keys.stock }),
    connect: () => connectRedis(state.url, { name: 'test-events', role: 'blocking' }),
    stop,
  }

  function ask(url: string, { as = 'guest', method = 'GET', headers = {}, body }: Ask = {}) {
    const identity = mint({ role: as, ...(as !== 'guest' && { userId: adminId }) })
    const options = { url, method, headers: { 'x-shop-identity': identity, ...headers } }
    return server.inject(body ? { ...options, body } : options)
  }

  function runLoops() {
    loops = Promise.all((app.loops ?? []).map(({ run }) => run(stopping.signal)))
    loops.catch(() => {})
  }

  async function stop() {
    stopping.abort()
    await loops
    await server.close()
    await app.close()
    await closeRedis(redis)
    await database.close()
    await Promise.all([cache.stop(), state.stop()])
  }
}

export type Catalog = Awaited<ReturnType<typeof startCatalog>>

/** A fresh database with the catalog's tables, and two ways into it. */
export async function startDatabase() {
  const { url } = await testDatabase('catalog')
  const prisma = new PrismaClient({ adapter: createPrismaAdapter(url, { name: 'test', poolMax: 20 }) })
  const pool = createPool(url, { name: 'test' })
  await prisma.category.createMany({
    data: [
      { slug: 'tea', name: 'Tea' },
      { slug: 'cups', name: 'Cups' },
    ],
  })
  return { url, prisma, pool, addProducts, stockOf, close }

  async function addProducts(products: readonly { sku: string; stockCount?: number; [field: string]: unknown }[]) {
    const data = products.map((product) => ({ ...plainProduct, ...product }))
    await prisma.product.createMany({ data })
  }

  async function stockOf(sku: string): Promise<number> {
    return (await prisma.product.findUniqueOrThrow({ where: { sku } })).stockCount
  }

  async function close() {
    await Promise.all([prisma.$disconnect(), pool.end()])
  }
}

export type Database = Awaited<ReturnType<typeof startDatabase>>

const plainProduct = { name: 'Tea', description: 'Leaves.', categorySlug: 'tea', priceCents: 500, stockCount: 10 }
