/** The catalog, wired: products and stock in Postgres, copies of what is read often in Redis, events to and from order on streams. */
import { createCache } from '@shop/redis-kit/cache'
import { createBreaker } from '@shop/redis-kit/circuit-breaker'
import { closeRedis, connectRedis, connectSubscriber, type Redis, type Subscriber } from '@shop/redis-kit/connection'
import { createRegistry } from '@shop/redis-kit/discovery'
import { isRedisOutage } from '@shop/redis-kit/errors'
import { createTopic } from '@shop/redis-kit/stream'
import { createJanitor } from '@shop/redis-kit/stream/janitor'
import { streamConsoleRoutes } from '@shop/service-kit/events/stream-console'
import { createServer } from '@shop/service-kit/http/server'
import { createTopicRelay } from '@shop/service-kit/outbox/topic-relay'
import type { App, Surroundings } from '@shop/service-kit/process'
import { prismaProbe, redisProbe } from '@shop/service-kit/process/health'
import { createPool, createPrismaAdapter } from '@shop/service-kit/storage/database'
import { logRedisState, redisTls, warnOfEviction } from '@shop/service-kit/storage/redis'
import { registryKeys } from '@shop/service-kit/storage/registry-keys'
import { copiesProbe, createCacheMetrics } from '@shop/service-kit/telemetry/cache-metrics'
import type { Metrics } from '@shop/service-kit/telemetry/metrics'
import type { Config } from './config.ts'
import { createImports } from './import/import.ts'
import { importRoutes } from './import/routes.ts'
import { createImportStore } from './import/store.ts'
import { keys } from './keys.ts'
import { PrismaClient } from './prisma/client/client.ts'
import { consumeChanges } from './products/events.ts'
import { createFreshness } from './products/freshness.ts'
import { createProducts } from './products/products.ts'
import { productRoutes } from './products/routes.ts'
import { createProductStore } from './products/store.ts'
import { storedResponses } from './products/stored-response.ts'
import { consumeOrders, orderGroup } from './stock/events.ts'
import { expireReservations } from './stock/expiry.ts'
import { forgetOldEvents } from './stock/forgetting.ts'
import { createStockStore } from './stock/store.ts'

/** The outbox' relay keeps one connection to listen, takes one to publish and one to compare: reads need another. */
const relayConnections = 3

/** Postgres is needed for everything; without Redis reads are slower and orders wait for their stock. */
export async function buildApp(config: Config, { log, name, instanceId, metrics }: Surroundings): Promise<App> {
  const half = Math.ceil(config.DATABASE_POOL_MAX / 2)
  const prisma = new PrismaClient({
    adapter: createPrismaAdapter(config.DATABASE_URL, { name: instanceId, poolMax: half }),
  })
  const pool = createPool(config.DATABASE_URL, { name: instanceId, poolMax: Math.max(half, relayConnections + 1) })
  const tls = redisTls(config)
  const toCache = { tls, onStateChange: logRedisState({ role: 'cache', log }) }
  const toState = { tls, onStateChange: logRedisState({ role: 'state', log }) }
  const cacheRedis = connectRedis(config.REDIS_CACHE_URL, { name: instanceId, ...toCache })
  const invalidations = connectSubscriber(config.REDIS_CACHE_URL, { name: `${instanceId}-invalidations`, ...toCache })
  const stateRedis = connectRedis(config.REDIS_STATE_URL, { name: instanceId, ...toState })
  warnOfEviction(cacheRedis, { role: 'cache', log })
  warnOfEviction(stateRedis, { role: 'state', log })
  const connect = () =>
    connectRedis(config.REDIS_STATE_URL, { name: `${instanceId}-events`, ...toState, role: 'blocking' })

  const caches = createCaches(cacheRedis, { invalidations, metrics })
  const { forget, invalidate } = createFreshness({
    ...caches,
    onStale: (error, { skus }) =>
      log.warn(
        { err: error, skus: skus.slice(0, 3), skuCount: skus.length },
        'cache invalidation deferred to the outbox',
      ),
  })
  const products = createProducts(createProductStore(prisma, pool), { ...caches, forget })
  const server = createServer({
    log,
    name,
    metrics,
    identityPublicKey: config.IDENTITY_PUBLIC_KEY,
    probes: [
      prismaProbe(prisma),
      redisProbe('redis-state', stateRedis, { required: false, family: keys.stock.stream }),
      redisProbe('redis-cache', cacheRedis, { required: false, family: keys.products.value }),
      copiesProbe('copies-products', caches.products),
      copiesProbe('copies-categories', caches.categories),
    ],
  })
  productRoutes(server, products)
  streamConsoleRoutes(server, stateRedis, { topics: [keys.stock, keys.changes] })
  const imports = createImports(createImportStore(prisma), { forget, log })
  importRoutes(server, imports, { maxBytes: config.IMPORT_MAX_BYTES, idleMs: config.IMPORT_IDLE_MS })

  const orders = createTopic(stateRedis, { keys: keys.orders })
  const changes = createTopic(stateRedis, { keys: keys.changes })
  const forgetStock = (skus: readonly string[]) => forget({ skus })
  const stock = createStockStore(prisma, {
    group: orderGroup,
    topic: keys.stock.name,
    reservationTtlMs: config.RESERVATION_TTL_MS,
  })
  const relay = createTopicRelay(stateRedis, { keys: [keys.stock, keys.changes], pool, connect, log })
  return {
    server,
    registry: createRegistry(stateRedis, { keys: registryKeys }),
    loops: [
      {
        name: 'order-events',
        run: consumeOrders({ orders, stock, forget: forgetStock, consumer: instanceId, connect, log }),
      },
      { name: 'changes', run: consumeChanges({ changes, invalidate, consumer: instanceId, connect, log }) },
      { name: 'outbox', run: relay.run },
      {
        name: 'expiry',
        run: expireReservations({ stock, forget: forgetStock, log, sweepMs: config.RESERVATION_SWEEP_MS }),
      },
      { name: 'stock-janitor', run: createJanitor(stateRedis, { keys: keys.stock }).run },
      { name: 'changes-janitor', run: createJanitor(stateRedis, { keys: keys.changes }).run },
      { name: 'forgetting', run: forgetOldEvents({ stock, pool }) },
    ],
    close: async () => {
      await caches.close()
      await Promise.all([invalidations.close(), closeRedis(cacheRedis), closeRedis(stateRedis)])
      await Promise.all([prisma.$disconnect(), pool.end()])
    },
  }
}

/** Both caches share one breaker, because they fail together. Without Redis the catalog is slower, not wrong. */
function createCaches(redis: Redis, { invalidations, metrics }: { invalidations: Subscriber; metrics: Metrics }) {
  // Asked again after a second: a probe costs little, and shoppers notice when the cache is back.
  const breaker = createBreaker({ name: 'redis-cache', isFailure: isRedisOutage, openMs: 1_000 })
  const counted = createCacheMetrics(metrics)
  const open = (name: 'products' | 'categories') => {
    const onEvent = counted.onEvent(name)
    const lifetimes = { ttlMs: 60_000, staleMs: 600_000, local: { subscriber: invalidations } }
    // Many loads at once, for those of products go to Postgres together (batched-reads.ts); and two seconds of them may wait: on a
    // busy machine the first moment after the loss of Redis can take one.
    const loads = { maxLoadCount: 128, maxQueuedCount: 4_000 }
    const options = { keys: keys[name], codec: storedResponses, ...lifetimes, ...loads, breaker, onEvent }
    const cache = createCache(redis, options)
    counted.watch(name, cache)
    return cache
  }
  const [products, categories] = [open('products'), open('categories')]
  return { products, categories, close }

  async function close() {
    await Promise.all([products.close(), categories.close()])
    breaker.close()
  }
}
