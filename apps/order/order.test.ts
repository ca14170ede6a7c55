import { randomUUID } from 'node:crypto'
import type { Identity } from '@shop/contracts/identity'
import type { Card } from '@shop/contracts/order'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { startOrder } from './order.fixture.ts'

const order = await startOrder()
const { prices, prisma, told, sayStock } = order
afterAll(order.stop)
beforeEach(() => {
  prices.clear()
  prices.set('TEA-1', 450).set('MUG-1', 1200)
})

const patience = { timeout: 10_000, interval: 20 }
const customer = (): Identity => ({ role: 'customer', userId: randomUUID(), session: 'test' })
const put = (as: Identity, sku: string, quantity: number, headers = {}) =>
  order.ask(`/api/cart/items/${sku}`, { as, method: 'PUT', body: { quantity }, headers })
/** For preparing a test: anything but success is the test's end. */
async function fill(as: Identity, sku: string, quantity: number, headers = {}) {
  const response = await put(as, sku, quantity, headers)
  expect(response.statusCode).toBe(200)
  return response
}
const place = (as: Identity, key: string = randomUUID(), card: Card = 'approve', more: object = {}) =>
  order.ask('/api/orders', {
    as,
    method: 'POST',
    body: { payment: { card }, ...more },
    headers: { 'idempotency-key': key },
  })
const statusOf = async (as: Identity, id: string) => (await order.ask(`/api/orders/${id}`, { as })).json().status

async function placed(as = customer(), card: Card = 'approve') {
  await fill(as, 'TEA-1', 2)
  const response = await place(as, randomUUID(), card)
  return { as, id: response.json().id as string, response }
}

describe('a cart', () => {
  it("takes the guest's cart when she signs in, and the larger quantity of what is in both", async () => {
    const guest: Identity = { role: 'guest' }
    const first = await fill(guest, 'TEA-1', 3)
    const cookie = String(first.headers['set-cookie']).split(';')[0] as string
    await fill(guest, 'MUG-1', 1, { cookie })
    const as = customer()
    await fill(as, 'TEA-1', 1)
    const merged = await order.ask('/api/cart', { as, headers: { cookie } })
    expect(merged.json().items).toEqual([
      { sku: 'MUG-1', quantity: 1 },
      { sku: 'TEA-1', quantity: 3 },
    ])
    expect(String(merged.headers['set-cookie'])).toMatch(/Max-Age=0/)
    expect((await order.ask('/api/cart', { headers: { cookie } })).json().items).toEqual([])
  })

  it('holds 50 products and not one more, also when 60 are put in at once', async () => {
    const as = customer()
    const statuses = await Promise.all(
      Array.from({ length: 60 }, (_, i) => put(as, `SKU-${i}`, 1).then((r) => r.statusCode)),
    )
    expect(statuses.filter((status) => status === 200)).toHaveLength(50)
    expect(statuses.filter((status) => status === 409)).toHaveLength(10)
    expect((await put(as, 'SKU-0', 2)).statusCode === 200 || statuses[0] === 409).toBe(true)
  })

  it('of a guest who only looks is not made', async () => {
    const response = await order.ask('/api/cart')
    expect(response.json()).toEqual({ items: [] })
    expect(response.headers['set-cookie']).toBeUndefined()
  })
})

describe('placing an order', () => {
  it("takes the catalog's prices and tells of it once", async () => {
    const { as, id, response } = await placed()
    expect(response.statusCode).toBe(202)
    expect(response.json()).toMatchObject({
      status: 'pending',
      totalCents: 900,
      items: [{ sku: 'TEA-1', unitPriceCents: 450 }],
    })
    expect((await order.ask('/api/cart', { as })).json().items).toEqual([])
    await expect.poll(async () => (await told(id)).map(({ type }) => type), patience).toEqual(['order.placed'])
  })

  it('with one key forty times at once makes one order, and the same bytes every time', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    const key = randomUUID()
    const answers = await Promise.all(Array.from({ length: 40 }, () => place(as, key)))
    const bodies = new Set(answers.map((answer) => answer.body))
    expect(new Set(answers.map((answer) => answer.statusCode))).toEqual(new Set([202]))
    expect(bodies.size).toBe(1)
    expect(answers.filter((answer) => answer.headers['idempotent-replayed'] === 'true')).toHaveLength(39)
    expect(await prisma.order.count({ where: { userId: as.userId as string } })).toBe(1)
  })

  it('with twenty keys at once for one cart makes one order', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    const answers = await Promise.all(Array.from({ length: 20 }, () => place(as)))
    expect(answers.filter(({ statusCode }) => statusCode === 202)).toHaveLength(1)
    for (const answer of answers) {
      if (answer.statusCode !== 202) expect(['cart-ordered', 'cart-empty']).toContain(answer.json().code)
    }
    expect(await prisma.order.count({ where: { userId: as.userId as string } })).toBe(1)
  })

  it.each<[string, object, number, string]>([
    ['a price that is not the one that was seen', { expectedTotalCents: 1 }, 409, 'price-changed'],
    ['a field that is the server’s', { totalCents: 1 }, 400, 'validation-failed'],
  ])('is refused with %s, and nothing is written', async (_, more, status, code) => {
    const as = customer()
    await fill(as, 'TEA-1', 1)
    const response = await place(as, randomUUID(), 'approve', more)
    expect([response.statusCode, response.json().code]).toEqual([status, code])
    expect(await prisma.order.count({ where: { userId: as.userId as string } })).toBe(0)
    expect((await order.ask('/api/cart', { as })).json().items).toHaveLength(1)
  })

  it('is refused when a product is not sold any more', async () => {
    const as = customer()
    await fill(as, 'GONE-1', 1)
    expect((await place(as)).json().code).toBe('products-gone')
  })
})

describe('the saga', () => {
  it('confirms when stock is reserved and the card is accepted', async () => {
    const { as, id } = await placed()
    await sayStock('stock.reserved', id)
    await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
    await expect
      .poll(async () => (await told(id)).map(({ type }) => type), patience)
      .toEqual(['order.placed', 'order.confirmed'])
  })

  it('cancels when the card is declined, and when there is no stock', async () => {
    const declined = await placed(customer(), 'decline')
    const missing = await placed()
    await Promise.all([sayStock('stock.reserved', declined.id), sayStock('stock.rejected', missing.id)])
    await expect.poll(() => statusOf(declined.as, declined.id), patience).toBe('cancelled')
    await expect.poll(() => statusOf(missing.as, missing.id), patience).toBe('cancelled')
    const order1 = await prisma.order.findUniqueOrThrow({ where: { id: declined.id } })
    const order2 = await prisma.order.findUniqueOrThrow({ where: { id: missing.id } })
    expect([order1.cancelReason, order2.cancelReason]).toEqual(['payment-declined', 'out-of-stock'])
  })

  it('asks again when the provider does not answer, and charges once', async () => {
    const { as, id } = await placed(customer(), 'timeout')
    await sayStock('stock.reserved', id)
    await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
    const charges = await prisma.simulatedCharge.findMany({ where: { key: id } })
    expect(charges).toHaveLength(1)
    expect(charges[0]?.attempts).toBe(2)
  })

  it('does nothing twice: the same word under its id and under another one', async () => {
    const { as, id } = await placed()
    const eventId = randomUUID()
    await sayStock('stock.reserved', id, eventId)
    await sayStock('stock.reserved', id, eventId)
    await sayStock('stock.reserved', id)
    await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
    const last = await placed()
    await sayStock('stock.reserved', last.id)
    await expect.poll(() => statusOf(last.as, last.id), patience).toBe('confirmed')
    expect((await told(id)).filter(({ type }) => type === 'order.confirmed')).toHaveLength(1)
    expect(await prisma.simulatedCharge.count({ where: { key: id } })).toBe(1)
  })

  it('gives the money back when the customer cancels while the provider is asked', async () => {
    const { as, id } = await placed(customer(), 'timeout')
    await sayStock('stock.reserved', id)
    await expect.poll(() => prisma.simulatedCharge.count({ where: { key: id } }), patience).toBe(1)
    const cancelled = await order.ask(`/api/orders/${id}/cancel`, { as, method: 'POST' })
    expect(cancelled.json()).toMatchObject({ status: 'cancelled', cancelReason: 'by-customer' })
    const isRefunded = async () => (await prisma.simulatedCharge.findUniqueOrThrow({ where: { key: id } })).refunded
    await expect.poll(isRefunded, patience).toBe(true)
    expect(await statusOf(as, id)).toBe('cancelled')
  })
})

describe('cancelling', () => {
  it('twice is cancelling once, and a confirmed order stays', async () => {
    const { as, id } = await placed()
    const cancel = () => order.ask(`/api/orders/${id}/cancel`, { as, method: 'POST' })
    expect((await cancel()).statusCode).toBe(200)
    expect((await cancel()).statusCode).toBe(200)
    const kept = await placed()
    await sayStock('stock.reserved', kept.id)
    await expect.poll(() => statusOf(kept.as, kept.id), patience).toBe('confirmed')
    const refused = await order.ask(`/api/orders/${kept.id}/cancel`, { as: kept.as, method: 'POST' })
    expect(refused.json().code).toBe('order-not-cancellable')
  })
})

describe('the list of orders', () => {
  it('has every order once over all pages, newest first', async () => {
    const as = customer()
    const ids: string[] = []
    for (let i = 0; i < 7; i++) ids.unshift((await placed(as)).id)
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page: { items: { id: string }[]; nextCursor: string | null } = (
        await order.ask(`/api/orders?limit=3${cursor ? `&cursor=${cursor}` : ''}`, { as })
      ).json()
      seen.push(...page.items.map(({ id }) => id))
      cursor = page.nextCursor
    } while (cursor !== null)
    expect(seen).toEqual(ids)
  })
})

describe('without Redis', () => {
  it('checkout says 503 and writes nothing; a replay and the list still answer', async () => {
    const alone = await startOrder()
    alone.prices.set('TEA-1', 450)
    const as = customer()
    const headers = { 'idempotency-key': 'known' }
    const body = { payment: { card: 'approve' } }
    await alone.ask('/api/cart/items/TEA-1', { as, method: 'PUT', body: { quantity: 1 } })
    const first = await alone.ask('/api/orders', { as, method: 'POST', body, headers })
    await alone.redis.kill('SIGKILL')
    const refused = await alone.ask('/api/orders', { as, method: 'POST', body, headers: { 'idempotency-key': 'new' } })
    const again = await alone.ask('/api/orders', { as, method: 'POST', body, headers })
    expect(refused.statusCode).toBe(503)
    expect([again.statusCode, again.body]).toEqual([202, first.body])
    expect((await alone.ask('/api/orders', { as })).json().items).toHaveLength(1)
    await alone.stop()
  })
})
