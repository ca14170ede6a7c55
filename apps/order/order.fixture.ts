/** An order service for tests: a fresh database, a Redis of its own, a catalog that sells at listed prices, and the app of production. */
import { randomUUID } from 'node:crypto'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { OrderEvent, StockEvent } from '@shop/contracts/events'
import type { Identity } from '@shop/contracts/identity'
import type { Card } from '@shop/contracts/order'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { createRegistration, createRegistry, discoveryKeys } from '@shop/redis-kit/discovery'
import { createTopic } from '@shop/redis-kit/stream'
import type { Server } from '@shop/service-kit/http/server'
import { createIdentityMinter, generateIdentityKeys } from '@shop/service-kit/identity'
import { loadConfig } from '@shop/service-kit/process/config'
import { startLoops } from '@shop/service-kit/process/loop'
import { createLoopHealth } from '@shop/service-kit/process/loop-health'
import { createPrismaAdapter } from '@shop/service-kit/storage/database'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { createLog } from '@shop/service-kit/telemetry/log'
import { createMetrics } from '@shop/service-kit/telemetry/metrics'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import type { LightMyRequestResponse } from 'fastify'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'
import { keys } from './keys.ts'
import { PrismaClient } from './prisma/client/client.ts'

interface Ask {
  as?: Identity
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  headers?: Record<string, string>
  body?: object
}

interface SaidStock {
  id?: string
  reason?: 'reservation-expired'
}

/** @param databaseUrl with the order service's tables. @default a fresh one on the server that all tests share */
export async function startOrder(env: Record<string, string> = {}, databaseUrl?: string) {
  const [database, redisServer, catalog] = await Promise.all([
    databaseUrl === undefined ? testDatabase('order') : { url: databaseUrl },
    startRedisWithUsers('state'),
    startPriceList(),
  ])
  const toPostgres = await startFaultProxy({ port: Number(new URL(database.url).port) })
  const redis = connectRedis(redisServer.url, { name: 'test' })
  await whenReady(redis, 5_000)
  const registration = createRegistration(createRegistry(redis, { keys: discoveryKeys() }), catalog.instance)
  await registration.start()

  const identity = generateIdentityKeys()
  const mint = createIdentityMinter(identity.IDENTITY_PRIVATE_KEY)
  const variables = {
    DATABASE_URL: toPostgres.via(database.url),
    REDIS_STATE_URL: redisServer.urlAs('order'),
    IDENTITY_PUBLIC_KEY: identity.IDENTITY_PUBLIC_KEY,
    PAYMENT_TIMEOUT_MS: '200',
    ...env,
  }
  const config = loadConfig(configSchema, variables)
  const stopping = new AbortController()
  const log = createLog({ service: 'order', instanceId: 'order-test', level: 'silent' })
  const metrics = createMetrics({ service: 'order', instanceId: 'order-test' })
  const names = { name: 'order', instanceId: 'order-test' }
  const app = await buildApp(config, { ...names, log, metrics, stopping: stopping.signal })
  const server = app.server as unknown as Server
  const prisma = new PrismaClient({ adapter: createPrismaAdapter(database.url, { name: 'test' }) })
  const stock = createTopic(redis, { keys: keys.catalogStock })
  const loops = startLoops(app.loops ?? [], log, { watch: createLoopHealth({ health: server.health, metrics }) })

  return {
    /** What another instance of it is told, and how a request says who it is from. */
    variables,
    identityOf,
    redis: redisServer,
    metrics,
    /** Between the service and Postgres; tests look into Postgres past it. */
    toPostgres,
    prices: catalog.prices,
    /** Lets no request of the service come through to the price list, until it is told otherwise. */
    breakPriceList: catalog.break,
    prisma,
    ask,
    ...createBuyers(ask),
    told,
    sayStock,
    /** Opens a port, for what goes on for longer than a request. Resolves to the URL. */
    listen: () => server.listen({ host: '127.0.0.1', port: 0 }),
    stop,
  }

  function identityOf(as: Identity) {
    return { 'x-shop-identity': mint(as) }
  }

  function ask(url: string, { as = { role: 'guest' }, method = 'GET', headers = {}, body }: Ask = {}) {
    return server.inject({ url, method, headers: { ...identityOf(as), ...headers }, ...(body && { body }) })
  }

  /** The events that were put on the stream about an order, in their order. */
  async function told(orderId: string): Promise<OrderEvent[]> {
    const streams = await Promise.all(
      [0, 1].map((partition) => redis.xrange(keys.orderEvents.stream.key(partition), '-', '+')),
    )
    const events = streams
      .flat()
      .map(([, fields]) => JSON.parse(fields[fields.indexOf('body') + 1] as string) as OrderEvent)
    return events.filter((event) => event.data.orderId === orderId)
  }

  /** Says what the catalog would say. */
  function sayStock(type: StockEvent['type'], orderId: string, { id = randomUUID(), ...more }: SaidStock = {}) {
    const data = { orderId, ...(type !== 'stock.reserved' && { skus: ['TEA-1'] }), ...more }
    return stock.publish({ id, key: orderId, type, body: JSON.stringify({ id, type, occurredAtMs: Date.now(), data }) })
  }

  async function stop() {
    stopping.abort()
    await loops.stop()
    await server.close()
    await app.close()
    await registration.leave()
    await Promise.all([prisma.$disconnect(), closeRedis(redis), catalog.stop()])
    await Promise.all([redisServer.stop(), toPostgres.stop()])
  }
}

type AskOrder = (url: string, options?: Ask) => Promise<LightMyRequestResponse>

/** What people do with a shop. For preparing a test: anything but success is the test's end. */
function createBuyers(ask: AskOrder) {
  return { customer, put, fill, place, placed, cancel, statusOf }

  function customer(): Identity {
    return { role: 'customer', userId: randomUUID(), session: 'test' }
  }

  function put(as: Identity, sku: string, quantity: number, headers = {}) {
    return ask(`/api/cart/items/${sku}`, { as, method: 'PUT', body: { quantity }, headers })
  }

  async function fill(as: Identity, sku: string, quantity: number, headers = {}) {
    const response = await put(as, sku, quantity, headers)
    if (response.statusCode !== 200) throw new Error(`the cart answered ${response.statusCode}: ${response.body}`)
    return response
  }

  function place(as: Identity, key: string = randomUUID(), card: Card = 'approve', more: object = {}) {
    const headers = { 'idempotency-key': key }
    return ask('/api/orders', { as, method: 'POST', body: { payment: { card }, ...more }, headers })
  }

  async function placed(as = customer(), card: Card = 'approve') {
    await fill(as, 'TEA-1', 2)
    const response = await place(as, randomUUID(), card)
    return { as, id: response.json().id as string, response }
  }

  function cancel(as: Identity, id: string) {
    return ask(`/api/orders/${id}/cancel`, { as, method: 'POST' })
  }

  async function statusOf(as: Identity, id: string): Promise<string> {
    return (await ask(`/api/orders/${id}`, { as })).json().status
  }
}

/** A catalog as order sees it: a price for each sku, over HTTP, found in the registry. */
async function startPriceList() {
  const prices = new Map<string, number>()
  let isBroken = false
  const server = createHttpServer((request, response) => {
    if (isBroken) return request.socket.destroy()
    const skus = new URL(request.url ?? '', 'http://catalog').searchParams.getAll('sku')
    const items = skus.flatMap((sku) => {
      const priceCents = prices.get(sku)
      return priceCents === undefined ? [] : [{ sku, name: `Name of ${sku}`, priceCents, stockCount: 9 }]
    })
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ currency: 'EUR', items }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const instance = { id: 'catalog-test', service: 'catalog', host: '127.0.0.1', port, startedAtMs: Date.now() }
  const stop = () => new Promise<unknown>((resolve) => server.close(resolve).closeAllConnections())
  return {
    prices,
    instance,
    stop,
    break: (nowBroken = true) => {
      isBroken = nowBroken
    },
  }
}
