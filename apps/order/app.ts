/** The order service, wired: carts in Redis, orders in Postgres, events through the outbox. */
import { closeRedis, connectRedis, connectSubscriber } from '@shop/redis-kit/client'
import { createDirectory, createRegistry } from '@shop/redis-kit/discovery'
import { createTopic } from '@shop/redis-kit/stream'
import { createJanitor } from '@shop/redis-kit/stream/janitor'
import { createServiceClient } from '@shop/service-kit/client'
import { createPool, createPrismaAdapter } from '@shop/service-kit/database'
import { prismaProbe, redisProbe } from '@shop/service-kit/health'
import { createAlarm } from '@shop/service-kit/outbox/listen'
import { createTopicRelay } from '@shop/service-kit/outbox/topic-relay'
import type { App, Surroundings } from '@shop/service-kit/process'
import { redisTls } from '@shop/service-kit/redis'
import { registryKeys } from '@shop/service-kit/registry-keys'
import { createServer } from '@shop/service-kit/server'
import { streamConsoleRoutes } from '@shop/service-kit/stream-console'
import { createCarts } from './cart/cart.ts'
import { createCartOwner } from './cart/owner.ts'
import { cartRoutes } from './cart/routes.ts'
import { createCatalog } from './checkout/catalog.ts'
import { createCheckout } from './checkout/checkout.ts'
import { checkoutRoutes } from './checkout/routes.ts'
import { createCheckoutStore } from './checkout/store.ts'
import type { Config } from './config.ts'
import { keys } from './keys.ts'
import { consumeStock } from './orders/events.ts'
import { forgetOldRecords } from './orders/forgetting.ts'
import { orderRoutes } from './orders/routes.ts'
import { createSaga } from './orders/saga.ts'
import { createOrderStore } from './orders/store.ts'
import { hearCallbacks } from './payment/callbacks.ts'
import { giveMoneyBack } from './payment/refunds.ts'
import { createSimulatedProvider } from './payment/simulated-provider.ts'
import { PrismaClient } from './prisma/client/client.ts'

/** The outbox' relay holds one connection to listen and one to publish; the third is for cleaning up. */
const relayConnections = 3

export async function buildApp(config: Config, { log, name, instanceId, metrics }: Surroundings): Promise<App> {
  const prisma = new PrismaClient({
    adapter: createPrismaAdapter(config.DATABASE_URL, { name: instanceId, poolMax: config.DATABASE_POOL_MAX }),
  })
  const pool = createPool(config.DATABASE_URL, { name: `${instanceId}-outbox`, poolMax: relayConnections })
  const tls = redisTls(config)
  const redis = connectRedis(config.REDIS_STATE_URL, { name: instanceId, tls, commandTimeoutMs: 1_000 })
  const subscriber = connectSubscriber(config.REDIS_STATE_URL, { name: instanceId, tls })
  const registry = createRegistry(redis, { keys: registryKeys })
  const directory = createDirectory(registry, subscriber, { services: ['catalog'] })
  const services = createServiceClient({ directory })
  await directory.start()

  const server = createServer({
    log,
    name,
    metrics,
    identityPublicKey: config.IDENTITY_PUBLIC_KEY,
    probes: [prismaProbe(prisma), redisProbe('redis-state', redis, { required: true })],
  })
  const carts = createCarts(redis, { keys: keys.cart, ttlMs: config.CART_TTL_MS })
  const owner = createCartOwner(carts, { publicUrl: config.PUBLIC_URL, ttlMs: config.CART_TTL_MS })
  const onCartLeft = (error: unknown) => log.warn({ err: error }, 'an ordered cart could not be emptied')
  const store = createCheckoutStore(prisma, { instance: instanceId })
  const { placeOrder } = createCheckout({ carts, store, onCartLeft })
  const refundAlarm = createAlarm()
  const orders = createOrderStore(prisma, {
    instance: instanceId,
    onChanged: (_id, { refund }) => refund === 'due' && refundAlarm.ring(),
  })
  cartRoutes(server, { carts, owner })
  checkoutRoutes(server, { placeOrder, owner, catalog: createCatalog(services) })
  streamConsoleRoutes(server, redis, { topics: [keys.orderEvents] })
  orderRoutes(server, { store: orders, windowMs: config.CANCEL_WINDOW_MS })

  const relay = createTopicRelay(redis, { keys: keys.orderEvents, pool, log })
  const provider = createSimulatedProvider(prisma)
  const paymentTimeoutMs = config.PAYMENT_TIMEOUT_MS
  const saga = createSaga({ store: orders, provider, paymentTimeoutMs })
  const stock = createTopic(redis, { keys: keys.catalogStock })
  const connect = () => connectRedis(config.REDIS_STATE_URL, { name: `${instanceId}-stock`, tls, role: 'blocking' })

  return {
    server,
    registry,
    loops: [
      { name: 'outbox', run: relay.run },
      { name: 'refunds', run: giveMoneyBack({ prisma, orders, provider, alarm: refundAlarm, paymentTimeoutMs, log }) },
      { name: 'payment-callbacks', run: hearCallbacks({ provider, saga }) },
      { name: 'forgetting', run: forgetOldRecords({ prisma, pool }) },
      { name: 'janitor', run: createJanitor(redis, { keys: keys.orderEvents }).run },
      {
        name: 'stock-events',
        run: (signal) => consumeStock({ stock, saga, consumer: instanceId, connect, log }, signal),
      },
    ],
    close: async () => {
      await Promise.all([services.close(), directory.close()])
      await Promise.all([prisma.$disconnect(), pool.end(), subscriber.close(), closeRedis(redis)])
    },
  }
}
