import { randomUUID } from 'node:crypto'
import type { Identity } from '@shop/contracts/identity'
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import type { Idempotency } from '@shop/redis-kit/idempotency'
import { createPrismaAdapter } from '@shop/service-kit/storage/database'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Carts, createCarts } from '../cart/cart.ts'
import { keys } from '../keys.ts'
import { startOrder } from '../order.fixture.ts'
import { PrismaClient } from '../prisma/client/client.ts'
import { type CheckoutRequest, createCheckout } from './checkout.ts'
import { type CheckoutStore, createCheckoutStore } from './store.ts'

const order = await startOrder()
const { prisma, customer, fill, place } = order
beforeAll(() => void order.prices.set('TEA-1', 450))
afterAll(order.stop)

const ordersOf = (userId: string | undefined) => prisma.order.count({ where: { userId: userId as string } })

describe('an Idempotency-Key', () => {
  it('gets the same bytes for the same request, and says that they are repeated', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    const first = await place(as, 'one')
    const again = await place(as, 'one')
    expect([again.statusCode, again.body]).toEqual([202, first.body])
    expect(first.headers['idempotent-replayed']).toBeUndefined()
    expect(again.headers['idempotent-replayed']).toBe('true')
    expect(again.headers['content-type']).toBe(first.headers['content-type'])
  })

  it('is refused for another request, and required for each', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    await place(as, 'one')
    expect((await place(as, 'one', 'decline')).json()).toMatchObject({ status: 422, code: 'idempotency-key-reused' })
    const body = { payment: { card: 'approve' } }
    const without = await order.ask('/api/orders', { as, method: 'POST', body })
    expect(without.json()).toMatchObject({ status: 400, code: 'idempotency-key-required' })
    expect((await place(as, 'ä')).json()).toMatchObject({ status: 400, code: 'idempotency-key-required' })
    expect(await ordersOf(as.userId)).toBe(1)
  })

  it('is free again when its request was refused: it may be repeated, and changed too', async () => {
    const as = customer()
    expect((await place(as, 'one')).json().code).toBe('cart-empty')
    await fill(as, 'TEA-1', 1)
    expect((await place(as, 'one', 'approve', { expectedTotalCents: 1 })).json().code).toBe('price-changed')
    expect((await place(as, 'one', 'approve', { expectedTotalCents: 450 })).statusCode).toBe(202)
  })

  it.each([
    ['no hash', (redis: Redis, record: string) => redis.set(record, 'foreign')],
    ['cut short', (redis: Redis, record: string) => redis.hset(record, 'headers', '{')],
  ])('whose record in Redis is %s gets the answer that Postgres has, and no second order', async (_, harm) => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    const first = await place(as, 'one')
    const redis = connectRedis(order.redis.url, { name: 'test' })
    onTestFinished(() => closeRedis(redis))
    const [, [record]] = (await redis.scan(
      0,
      'MATCH',
      `order:idempotency:checkout:${as.userId}:*`,
      'COUNT',
      10_000,
    )) as [string, [string]]
    await harm(redis, record)
    const again = await place(as, 'one')
    expect([again.statusCode, again.body]).toEqual([202, first.body])
    expect(await ordersOf(as.userId)).toBe(1)
    expect((await place(as, 'one')).body).toBe(first.body) // from Redis again
    expect(await redis.hget(record, 'status')).toBe('202')
  })

  it("of one customer says nothing about another's", async () => {
    const [ada, ben] = [customer(), customer()]
    await fill(ada, 'TEA-1', 1)
    await fill(ben, 'TEA-1', 2)
    const [first, second] = [await place(ada, 'same'), await place(ben, 'same')]
    expect([first.statusCode, second.statusCode]).toEqual([202, 202])
    expect(second.json().id).not.toBe(first.json().id)
  })
})

describe('the record in Postgres', () => {
  const store = createCheckoutStore(prisma, { instance: 'test' })
  const quote: CheckoutRequest['quote'] = async () => ({
    currency: 'EUR',
    items: ['MUG-1', 'TEA-1'].map((sku) => ({ sku, name: sku, priceCents: 450, stockCount: 9 })),
  })
  const body = { payment: { card: 'approve' as const } }

  /** As a Redis that has forgotten what it knew, before each request. */
  const letAllThrough: Pick<Idempotency, 'begin'> = {
    begin: async () => {
      const yes = async () => true
      return { status: 'started', owner: '', renew: yes, complete: yes, release: yes }
    },
  }

  async function startCarts(): Promise<Carts> {
    const redis = connectRedis(order.redis.url, { name: 'test' })
    onTestFinished(() => closeRedis(redis))
    await whenReady(redis, 5_000)
    return createCarts(redis, { keys: keys.cart, ttlMs: 60_000 })
  }

  /** One instance without Redis' help. */
  function startCheckout(carts: Carts, records: CheckoutStore = store) {
    const { placeOrder } = createCheckout({ carts, claims: letAllThrough, store: records, onLeft: () => {} })
    return (userId: string, key = 'one') => placeOrder({ userId, owner: userId, key, body, quote, origin: {} })
  }

  async function placeAll(records: CheckoutStore, count = 40) {
    const carts = await startCarts()
    const userId = randomUUID()
    await carts.set(userId, 'TEA-1', 1)
    const placeOne = startCheckout(carts, records)
    const answers = await Promise.allSettled(Array.from({ length: count }, () => placeOne(userId)))
    return { userId, answers: answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : [])) }
  }

  it('decides alone: forty at once are one order and the same bytes', async () => {
    const { answers, userId } = await placeAll(store)
    expect(await ordersOf(userId)).toBe(1)
    expect(answers).toHaveLength(40)
    expect(new Set(answers.map((answer) => answer.body)).size).toBe(1)
    expect(answers.filter(({ isReplay }) => !isReplay)).toHaveLength(1)
  })

  it('is what decides: without its key and the cart’s the forty are many', async () => {
    const { userId } = await placeAll({
      ...store,
      place: (key, one, origin) =>
        store.place({ ...key, keyHash: randomUUID() }, { ...one, cartId: randomUUID() }, origin),
    })
    expect(await ordersOf(userId)).toBeGreaterThan(1)
  })

  it('knows what became of an order although the answer to its commit was lost', async () => {
    const url = order.variables.DATABASE_URL
    const link = await startFaultProxy({ port: Number(new URL(url).port) })
    const client = new PrismaClient({ adapter: createPrismaAdapter(link.via(url), { name: 'test' }) })
    const cut = link.cutAfterNextRequest('COMMIT')
    const { answers, userId } = await placeAll(createCheckoutStore(client, { instance: 'test' }), 1)
    await cut
    expect(answers).toMatchObject([{ status: 202, isReplay: true }])
    expect(await ordersOf(userId)).toBe(1)
    await client.$disconnect()
    await link.stop()
  })

  it('lets the cart be emptied by the next request when its own process died before that', async () => {
    const carts = await startCarts()
    const dies = { ...carts, take: () => Promise.reject(new Error('killed')) }
    const [ada, ben] = [randomUUID(), randomUUID()]
    for (const userId of [ada, ben]) {
      await carts.set(userId, 'TEA-1', 1)
      expect(await startCheckout(dies)(userId)).toMatchObject({ isReplay: false })
      expect((await carts.contents(userId)).lines).toHaveLength(1) // what should be gone
    }
    expect(await startCheckout(carts)(ada)).toMatchObject({ isReplay: true })
    await expect(startCheckout(carts)(ben, 'two')).rejects.toMatchObject({ code: 'cart-ordered' })
    for (const userId of [ada, ben]) {
      expect((await carts.contents(userId)).lines).toEqual([])
      await carts.set(userId, 'TEA-1', 1)
      expect(await startCheckout(carts)(userId, 'three')).toMatchObject({ status: 202, isReplay: false })
    }
  })

  it('lets only what was ordered leave a cart that could not be emptied, and keeps what was added since', async () => {
    const carts = await startCarts()
    const userId = randomUUID()
    const dies = { ...carts, take: () => Promise.reject(new Error('killed')) }
    await carts.set(userId, 'TEA-1', 2)
    await startCheckout(dies)(userId)
    await carts.set(userId, 'TEA-1', 5)
    await carts.set(userId, 'MUG-1', 1)
    await expect(startCheckout(carts)(userId, 'two')).rejects.toMatchObject({ code: 'cart-ordered' })
    const left = [
      { sku: 'MUG-1', quantity: 1 },
      { sku: 'TEA-1', quantity: 3 },
    ]
    expect((await carts.contents(userId)).lines).toEqual(left)
    await expect(startCheckout(carts)(userId, 'two')).resolves.toMatchObject({ status: 202, isReplay: false })
    const orders = await prisma.order.findMany({
      where: { userId },
      include: { lines: true },
      orderBy: { createdAt: 'asc' },
    })
    expect(orders.map(({ lines }) => lines.map(({ sku, quantity }) => ({ sku, quantity })))).toEqual([
      [{ sku: 'TEA-1', quantity: 2 }],
      left,
    ])
    expect((await carts.contents(userId)).lines).toEqual([])
  })

  it('lets the cart be emptied without another request too, a little later', async () => {
    const carts = await startCarts()
    const [userId, owner] = [randomUUID(), (id: string) => `u-${id}`]
    const dies = { ...carts, take: () => Promise.reject(new Error('killed')) }
    await carts.set(owner(userId), 'TEA-1', 1)
    const { placeOrder } = createCheckout({ carts: dies, claims: letAllThrough, store, onLeft: () => {} })
    await placeOrder({ userId, owner: owner(userId), key: 'one', body, quote, origin: {} })
    await carts.set(owner(userId), 'MUG-1', 1)
    const skus = async () => (await carts.contents(owner(userId))).lines.map(({ sku }) => sku)
    expect(await skus()).toEqual(['MUG-1', 'TEA-1'])
    await expect.poll(skus, { timeout: 20_000, interval: 100 }).toEqual(['MUG-1'])
    const isDone = async () => (await prisma.order.findFirstOrThrow({ where: { userId } })).cartDueAt
    await expect.poll(isDone, { timeout: 10_000, interval: 50 }).toBeNull()
  })

  it('repeats the answer when Redis has forgotten the key', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    const first = await place(as, 'one')
    await order.redis.restart() // keeps nothing in this test
    await expect.poll(async () => (await place(as, 'one')).body, { timeout: 10_000 }).toBe(first.body)
    const other = await place(as, 'one', 'decline')
    expect(other.json().code).toBe('idempotency-key-reused')
    expect(await ordersOf(as.userId)).toBe(1)
  })
})

describe('when something that checkout needs is away', () => {
  const countsOf = (userId: string | undefined) =>
    Promise.all([
      ordersOf(userId),
      prisma.idempotencyRecord.count({ where: { userId: userId as string } }),
      prisma.outboxEvent.count({ where: { body: { contains: userId as string } } }),
    ])
  const repeated = (as: Identity, key: string) =>
    expect.poll(async () => (await place(as, key)).statusCode, { timeout: 15_000, interval: 50 }).toBe(202)

  it('the catalog: 503, nothing is written, and the same key orders once it is back', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    order.breakPriceList()
    const refused = await place(as, 'one')
    expect([refused.statusCode, refused.json().code]).toEqual([503, 'service-unavailable'])
    expect(await countsOf(as.userId)).toEqual([0, 0, 0])
    order.breakPriceList(false)
    await repeated(as, 'one')
    expect(await countsOf(as.userId)).toEqual([1, 1, 1])
  })

  it('Postgres: 503, nothing is written, and the same key orders once it is back', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    await order.toPostgres.refuse()
    const refused = await place(as, 'one')
    expect([refused.statusCode, refused.json().code]).toEqual([503, 'dependency-unavailable'])
    await order.toPostgres.heal()
    expect(await countsOf(as.userId)).toEqual([0, 0, 0])
    await repeated(as, 'one')
    expect(await countsOf(as.userId)).toEqual([1, 1, 1])
  })
})

describe('without Redis', () => {
  it('checkout says 503 and writes nothing; the list of orders still answers', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    await place(as, 'known')
    await order.redis.kill('SIGKILL')
    for (const key of ['known', 'new']) {
      const refused = await place(as, key)
      expect([refused.statusCode, refused.json().code]).toEqual([503, 'dependency-unavailable'])
      expect(refused.headers['retry-after']).toBeDefined()
    }
    expect(await ordersOf(as.userId)).toBe(1)
    expect(await prisma.idempotencyRecord.count({ where: { userId: as.userId as string } })).toBe(1)
    expect((await order.ask('/api/orders', { as })).json().items).toHaveLength(1)
  })
})

it('the cart of an order is due by the clock of Postgres, although the clock of the instance is an hour ahead', async () => {
  const { url } = await testDatabase('order')
  const prisma = new PrismaClient({ adapter: createPrismaAdapter(url, { name: 'test' }) })
  onTestFinished(() => prisma.$disconnect())
  onTestFinished(() => void vi.useRealTimers())
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 })
  const [userId, cartId] = [randomUUID(), randomUUID()]
  const items = [{ sku: 'TEA-1', name: 'Tea', quantity: 1, unitPriceCents: 450 }]
  const placed = { userId, cartId, card: 'approve' as const, items, totalCents: 450, currency: 'EUR' }
  const store = createCheckoutStore(prisma, { instance: 'test' })
  await store.place({ userId, keyHash: 'one', fingerprint: 'one' }, placed, {})
  const rows = await prisma.$queryRaw`
    SELECT extract(epoch FROM cart_due_at - waiting_since)::int AS "afterSeconds" FROM orders`
  expect(rows).toEqual([{ afterSeconds: 5 }])
})
