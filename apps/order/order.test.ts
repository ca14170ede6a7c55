import { randomUUID } from 'node:crypto'
import type { Identity } from '@shop/contracts/identity'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { startOrder } from './order.fixture.ts'

const order = await startOrder()
const { prices, prisma, told, sayStock, customer, put, fill, place, placed, cancel, statusOf } = order
afterAll(order.stop)
beforeEach(() => {
  prices.clear()
  prices.set('TEA-1', 450).set('MUG-1', 1200)
})

const patience = { timeout: 10_000, interval: 20 }

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

  it('that has no room for all that the guest had says what waits, until it is in or taken out', async () => {
    const guest: Identity = { role: 'guest' }
    const first = await fill(guest, 'G-1', 1)
    const cookie = String(first.headers['set-cookie']).split(';')[0] as string
    for (const sku of ['G-2', 'G-3']) await fill(guest, sku, 1, { cookie })
    const as = customer()
    await Promise.all(Array.from({ length: 49 }, (_, i) => fill(as, `SKU-${i}`, 1)))
    const withCookie = { as, headers: { cookie } }
    const waitsIn = (answer: { json(): { waitingItems?: { sku: string }[] } }) =>
      answer.json().waitingItems?.map(({ sku }) => sku)

    for (let look = 0; look < 2; look++) {
      const cart = await order.ask('/api/cart', withCookie)
      expect([cart.json().items.length, waitsIn(cart)]).toEqual([50, ['G-2', 'G-3']])
      expect(String(cart.headers['set-cookie'])).toMatch(/Max-Age=0/)
    }
    expect((await put(as, 'G-2', 1, { cookie })).json().code).toBe('cart-full')
    const without = await order.ask('/api/cart/items/G-2', { ...withCookie, method: 'DELETE' })
    expect([without.json().items.length, waitsIn(without)]).toEqual([50, ['G-3']])
    const room = await order.ask('/api/cart/items/SKU-7', { ...withCookie, method: 'DELETE' })
    expect([room.json().items.length, waitsIn(room)]).toEqual([50, undefined])
    expect(room.json().items).toContainEqual({ sku: 'G-3', quantity: 1 })
  })

  it('of a guest has a cookie that lasts as long as the cart: each change renews both', async () => {
    const first = await fill({ role: 'guest' }, 'TEA-1', 1)
    const cookie = String(first.headers['set-cookie']).split(';')[0] as string
    const second = await fill({ role: 'guest' }, 'MUG-1', 1, { cookie })
    expect(String(second.headers['set-cookie'])).toContain(`${cookie};`)
    expect(second.json().items).toHaveLength(2)
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

  it('that is refused for its price is told the new one, line by line', async () => {
    const as = customer()
    await fill(as, 'TEA-1', 2)
    prices.set('TEA-1', 500)
    const response = await place(as, randomUUID(), 'approve', { expectedTotalCents: 900 })
    expect(response.json()).toMatchObject({
      code: 'price-changed',
      totalCents: 1000,
      currency: 'EUR',
      items: [{ sku: 'TEA-1', name: 'Name of TEA-1', quantity: 2, unitPriceCents: 500 }],
    })
    const { totalCents } = response.json()
    expect((await place(as, randomUUID(), 'approve', { expectedTotalCents: totalCents })).statusCode).toBe(202)
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
    await sayStock('stock.reserved', id, { id: eventId })
    await sayStock('stock.reserved', id, { id: eventId })
    await sayStock('stock.reserved', id)
    await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
    const last = await placed()
    await sayStock('stock.reserved', last.id)
    await expect.poll(() => statusOf(last.as, last.id), patience).toBe('confirmed')
    expect((await told(id)).filter(({ type }) => type === 'order.confirmed')).toHaveLength(1)
    expect(await prisma.simulatedCharge.count({ where: { key: id } })).toBe(1)
  })

  it('cancels with its own reason when the reservation expires, and gives back what the silent provider may have taken', async () => {
    const { as, id } = await placed(customer(), 'timeout')
    await sayStock('stock.reserved', id)
    await expect.poll(() => prisma.simulatedCharge.count({ where: { key: id } }), patience).toBe(1)
    await sayStock('stock.rejected', id, { reason: 'reservation-expired' })
    await expect.poll(() => statusOf(as, id), patience).toBe('cancelled')
    await expect
      .poll(async () => (await order.ask(`/api/orders/${id}`, { as })).json(), patience)
      .toMatchObject({ cancelReason: 'reservation-expired', refund: 'done' })
    expect(await prisma.simulatedCharge.findUniqueOrThrow({ where: { key: id } })).toMatchObject({ refunded: true })
  })

  it('takes a confirmed order back, and the money too, when the catalog says that its pieces are gone', async () => {
    const { as, id } = await placed()
    await sayStock('stock.reserved', id)
    await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
    await sayStock('stock.rejected', id, { reason: 'reservation-expired' })
    await sayStock('stock.gone', id)
    await expect
      .poll(async () => (await order.ask(`/api/orders/${id}`, { as })).json(), patience)
      .toMatchObject({ status: 'cancelled', cancelReason: 'reservation-expired', refund: 'done' })
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

  it('refuses a made-up cursor, whatever date it says', async () => {
    const as = customer()
    for (const createdAt of [
      '2026-12-31T23:59:60Z',
      '0000-01-01T00:00:00Z',
      '2026-01-01T00:00:00+99:99',
      -1,
      1e300,
      null,
    ]) {
      const cursor = Buffer.from(JSON.stringify({ createdAt, createdAtMs: createdAt, id: randomUUID() })).toString(
        'base64url',
      )
      const answer = await order.ask(`/api/orders?cursor=${cursor}`, { as })
      expect([createdAt, answer.statusCode, answer.json().code]).toEqual([createdAt, 400, 'cursor-invalid'])
    }
  })

  it('can be asked for one status', async () => {
    const as = customer()
    const [first, second] = [await placed(as), await placed(as)]
    await cancel(as, first.id)
    const idsOf = async (status: string) =>
      (await order.ask(`/api/orders?status=${status}`, { as })).json().items.map(({ id }: { id: string }) => id)
    expect(await idsOf('cancelled')).toEqual([first.id])
    expect(await idsOf('pending')).toEqual([second.id])
    expect((await order.ask('/api/orders?status=lost', { as })).statusCode).toBe(400)
  })
})
