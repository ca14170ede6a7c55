/** The order service, wired: carts in Redis, orders in Postgres, events through the outbox. */
import { closeRedis, connectRedis, connectSubscriber } from '@shop/redis-kit/connection'
import { createDirectory, createRegistry } from '@shop/redis-kit/discovery'
import { createAlarm } from '@shop/redis-kit/flow/alarm'
import { createIdempotency } from '@shop/redis-kit/idempotency'
import { createLock } from '@shop/redis-kit/lock'
import { createChannel } from '@shop/redis-kit/pubsub'
import { createTopic } from '@shop/redis-kit/stream'
import { createJanitor } from '@shop/redis-kit/stream/janitor'
import { createCountedClient } from '@shop/service-kit/call/client-metrics'
import { answersAsItself } from '@shop/service-kit/call/instance-check'
import { streamConsoleRoutes } from '@shop/service-kit/events/stream-console'
import { createEventStreams } from '@shop/service-kit/http/event-stream'
import { createServer } from '@shop/service-kit/http/server'
import { createTopicRelay } from '@shop/service-kit/outbox/topic-relay'
import type { App, Surroundings } from '@shop/service-kit/process'
import { directoryProbe, prismaProbe, redisProbe } from '@shop/service-kit/process/health'
import { createPool, createPrismaAdapter } from '@shop/service-kit/storage/database'
import { logRedisState, redisTls, warnOfEviction } from '@shop/service-kit/storage/redis'
import { registryKeys } from '@shop/service-kit/storage/registry-keys'
import { watchRateLimits } from '@shop/service-kit/telemetry/rate-limit-metrics'
import { createCarts } from './cart/cart.ts'
import { createCartOwner } from './cart/owner.ts'
import { cartRoutes } from './cart/routes.ts'
import { createCatalog } from './checkout/catalog.ts'
import { createCheckout } from './checkout/checkout.ts'
import { checkoutRoutes } from './checkout/routes.ts'
import { settleCarts } from './checkout/settling.ts'
import { createCheckoutStore } from './checkout/store.ts'
import type { Config } from './config.ts'
import { keys } from './keys.ts'
import { countTimeouts, endOverdueOrders } from './orders/deadline.ts'
import { consumeStock } from './orders/events.ts'
import { forgetOldRecords } from './orders/forgetting.ts'
import { countStreams, createLiveOrders, type Hint } from './orders/live.ts'
import { orderRoutes } from './orders/routes.ts'
import { createSaga } from './orders/saga.ts'
import { createOrderStore } from './orders/store.ts'
import { hearCallbacks } from './payment/callbacks.ts'
import { giveMoneyBack } from './payment/refunds.ts'
import { createSimulatedProvider } from './payment/simulated-provider.ts'
import { createPaymentTurns } from './payment/turns.ts'
import { PrismaClient } from './prisma/client/client.ts'

/** The outbox' relay holds one connection to listen and one to publish; the third is for comparing and cleaning up. */
const relayConnections = 3
/** As long as a repeated checkout has to wait when the instance that began it has died. */
const claimMs = 3_000

export async function buildApp(config: Config, surroundings: Surroundings): Promise<App> {
  const { log, name, instanceId, metrics, stopping } = surroundings
  const { prisma, pool, redis, subscriber, connectBlocking } = openConnections(config, surroundings)
  warnOfEviction(redis, { role: 'state', log })
  const registry = createRegistry(redis, { keys: registryKeys })
  const directory = createDirectory(registry, subscriber, { services: ['catalog'], answers: answersAsItself })
  const services = createCountedClient({ directory }, { metrics, services: ['catalog'] })
  await directory.start()

  const live = createLiveOrders({ hints: createChannel<Hint>(redis, subscriber, { keys: keys.status }), log })
  const [refundAlarm, cartAlarm] = [createAlarm(), createAlarm()]
  const orders = createOrderStore(prisma, {
    instance: instanceId,
    onChanged({ orderId, number, decision }) {
      live.tell(orderId, number)
      if (decision.refund === 'due') refundAlarm.ring()
      if (decision.cartReturn === 'due') cartAlarm.ring()
    },
  })
  const limits = watchRateLimits({ log, metrics })
  const server = createServer({
    log,
    name,
    metrics,
    identityPublicKey: config.IDENTITY_PUBLIC_KEY,
    probes: [
      prismaProbe(prisma),
      redisProbe('redis-state', redis, { required: true, family: keys.cart }),
      directoryProbe(directory),
      limits.probe,
    ],
  })
  const carts = createCarts(redis, { keys: keys.cart, ttlMs: config.CART_TTL_MS })
  const owner = createCartOwner(carts, { ttlMs: config.CART_TTL_MS })
  const { placeOrder } = createCheckout({
    carts,
    // Postgres has a record of each key, and takes none twice: a damaged one in Redis is worth nothing.
    claims: createIdempotency(redis, { keys: keys.checkout, leaseMs: claimMs, onDamaged: 'start' }),
    store: createCheckoutStore(prisma, { instance: instanceId }),
    onLeft: (error, what) => log.warn({ err: error }, `cleanup of ${what} after a checkout postponed`),
  })
  cartRoutes(server, { carts, owner })
  checkoutRoutes(server, { placeOrder, owner, catalog: createCatalog(services) })
  streamConsoleRoutes(server, redis, { topics: [keys.orderEvents] })
  const streams = createEventStreams({ stopping, maxCount: config.STREAM_MAX_COUNT })
  orderRoutes(server, { store: orders, windowMs: config.CANCEL_WINDOW_MS, live, streams })
  countStreams(metrics, { live, streams })
  const onTimedOut = countTimeouts(metrics)

  const relay = createTopicRelay(redis, { keys: keys.orderEvents, pool, connect: connectBlocking, log })
  const provider = createSimulatedProvider(prisma)
  const paymentTimeoutMs = config.PAYMENT_TIMEOUT_MS
  const inTurn = createPaymentTurns(redis, {
    keys: keys.paymentCalls,
    ratePerSecond: config.PAYMENT_RATE_PER_SECOND,
    maxWaitMs: paymentTimeoutMs,
    ...limits.queueOptions('payment'),
  })
  const saga = createSaga({ store: orders, provider, inTurn, paymentTimeoutMs })
  const stock = createTopic(redis, { keys: keys.catalogStock })
  return {
    server,
    registry,
    loops: [
      { name: 'outbox', run: relay.run },
      { name: 'stock-events', run: consumeStock({ stock, saga, consumer: instanceId, connect: connectBlocking, log }) },
      { name: 'payment-callbacks', run: hearCallbacks({ provider, saga }) },
      {
        name: 'refunds',
        run: giveMoneyBack({ prisma, orders, provider, inTurn, alarm: refundAlarm, paymentTimeoutMs, log }),
      },
      { name: 'carts', run: settleCarts({ prisma, orders, carts, alarm: cartAlarm, log }) },
      {
        name: 'deadline',
        run: endOverdueOrders({
          store: orders,
          deadlineMs: config.ORDER_DEADLINE_MS,
          sweepMs: config.ORDER_SWEEP_MS,
          onTimedOut,
          log,
        }),
      },
      { name: 'janitor', run: createJanitor(redis, { keys: keys.orderEvents }).run },
      {
        name: 'forgetting',
        run: forgetOldRecords({ prisma, pool, lock: createLock(redis, { keys: keys.cleanup }) }),
      },
    ],
    close: async () => {
      await Promise.all([services.close(), directory.close()])
      await Promise.all([prisma.$disconnect(), pool.end(), subscriber.close(), closeRedis(redis)])
    },
  }
}

function openConnections(config: Config, { instanceId, log }: Surroundings) {
  const toState = { tls: redisTls(config), onStateChange: logRedisState({ role: 'state', log }) }
  const { DATABASE_URL, DATABASE_POOL_MAX: poolMax, REDIS_STATE_URL } = config
  return {
    prisma: new PrismaClient({ adapter: createPrismaAdapter(DATABASE_URL, { name: instanceId, poolMax }) }),
    pool: createPool(DATABASE_URL, { name: `${instanceId}-outbox`, poolMax: relayConnections }),
    redis: connectRedis(REDIS_STATE_URL, { name: instanceId, ...toState, commandTimeoutMs: 1_000 }),
    subscriber: connectSubscriber(REDIS_STATE_URL, { name: `${instanceId}-subscriber`, ...toState }),
    connectBlocking: () => connectRedis(REDIS_STATE_URL, { name: `${instanceId}-stock`, ...toState, role: 'blocking' }),
  }
}
