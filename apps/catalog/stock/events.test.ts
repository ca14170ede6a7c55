import { randomUUID } from 'node:crypto'
import { type OrderEvent, StockEvent } from '@shop/contracts/events'
import { decodeEvent } from '@shop/service-kit/events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCatalog } from '../catalog.fixture.ts'

const catalog = await startCatalog({ RESERVATION_SWEEP_MS: '50' })
const { orders, announcements, ask, addProducts, prisma, stockOf } = catalog
const listening = new AbortController()
const heard: StockEvent[] = []
let listener: Promise<void>

beforeAll(() => {
  catalog.runLoops()
  listener = listen()
})
afterAll(async () => {
  listening.abort()
  await listener
  await catalog.stop()
})

/** As order does it. */
async function listen() {
  const options = { group: 'order', consumer: 'test', connect: catalog.connect, signal: listening.signal }
  for await (const message of announcements.read(options)) {
    const decoded = decodeEvent(StockEvent, message)
    if (decoded.status === 'event') heard.push(decoded.event)
    await message.ack()
  }
}

const userId = randomUUID()
function publish(type: OrderEvent['type'], orderId: string, sku: string, quantity = 1, id = randomUUID(), more = {}) {
  const details =
    type === 'order.cancelled' ? { reason: 'by-customer' } : { items: [{ sku, quantity }], totalCents: 100 }
  const body = JSON.stringify({ id, type, occurredAtMs: Date.now(), data: { orderId, userId, ...details, ...more } })
  return orders.publish({ id, key: orderId, type, body })
}
const answerTo = (orderId: string) => heard.filter(({ data }) => data.orderId === orderId).map(({ type }) => type)
const patience = { timeout: 15_000, interval: 20 }
const stats = () => orders.stats('catalog')
const waiting = async () => {
  const { pendingCount, lagCount } = await stats()
  return pendingCount + lagCount
}
const deadLetters = async () => (await stats()).deadLetterCount

describe('an order on the stream', () => {
  it('is answered on the stream, and readers of the product see the new stock', async () => {
    await addProducts([{ sku: 'TEA-1', stockCount: 5 }])
    expect((await ask('/api/products/TEA-1')).json()).toMatchObject({ stockCount: 5 })
    const orderId = randomUUID()
    await publish('order.placed', orderId, 'TEA-1', 2)
    await expect.poll(() => answerTo(orderId), patience).toEqual(['stock.reserved'])
    await expect.poll(async () => (await ask('/api/products/TEA-1')).json().stockCount, patience).toBe(3)

    await publish('order.cancelled', orderId, 'TEA-1')
    await expect.poll(async () => (await ask('/api/products/TEA-1')).json().stockCount, patience).toBe(5)
  })

  it('that is confirmed and then taken back gives back what was sold', async () => {
    await addProducts([{ sku: 'TEA-4', stockCount: 5 }])
    const orderId = randomUUID()
    for (const type of ['order.placed', 'order.confirmed'] as const) await publish(type, orderId, 'TEA-4', 2)
    const statuses = async () => (await prisma.reservation.findMany({ where: { orderId } })).map(({ status }) => status)
    await expect.poll(statuses, patience).toEqual(['sold'])
    await publish('order.cancelled', orderId, 'TEA-4', 2, randomUUID(), { wasConfirmed: true })
    await expect.poll(statuses, patience).toEqual(['released'])
    expect(await stockOf('TEA-4')).toBe(5)
  })

  it('has its effect once although it is published again, under the same id and under another', async () => {
    await addProducts([{ sku: 'TEA-2', stockCount: 5 }])
    const orderId = randomUUID()
    const id = randomUUID()
    await publish('order.placed', orderId, 'TEA-2', 1, id)
    await expect.poll(() => answerTo(orderId), patience).toEqual(['stock.reserved'])
    await publish('order.placed', orderId, 'TEA-2', 1, id)
    await publish('order.placed', orderId, 'TEA-2', 1)
    await expect.poll(waiting, patience).toBe(0)
    expect(await stockOf('TEA-2')).toBe(4)
    expect(answerTo(orderId)).toEqual(['stock.reserved'])
  })

  it('expires when nobody pays, and order hears of it', async () => {
    await addProducts([{ sku: 'TEA-3', stockCount: 5 }])
    const orderId = randomUUID()
    await publish('order.placed', orderId, 'TEA-3', 5)
    await expect.poll(() => answerTo(orderId), patience).toEqual(['stock.reserved'])
    await prisma.reservation.updateMany({ where: { orderId }, data: { expiresAt: new Date(0) } })
    await expect.poll(() => answerTo(orderId), patience).toEqual(['stock.reserved', 'stock.rejected'])
    expect(await stockOf('TEA-3')).toBe(5)
  })
})

describe('a message', () => {
  it.each([
    ['that is no JSON', 'order.placed', '{'],
    ['of another shape', 'order.placed', '{"type":"order.placed"}'],
  ])('%s becomes a dead letter at once and holds up nobody', async (_, type, body) => {
    const before = await deadLetters()
    await orders.publish({ id: randomUUID(), key: randomUUID(), type, body })
    await expect.poll(deadLetters, patience).toBe(before + 1)
    await expect.poll(waiting, patience).toBe(0)
  })

  it('of a type that the catalog does not know is passed over', async () => {
    const before = await deadLetters()
    await orders.publish({ id: randomUUID(), key: randomUUID(), type: 'order.gift-wrapped', body: '{}' })
    await expect.poll(waiting, patience).toBe(0)
    expect(await deadLetters()).toBe(before)
  })

  it('of an unknown type with the items of an order changes neither stock nor reservations, and is not a dead letter', async () => {
    const before = await deadLetters()
    await addProducts([{ sku: 'TEA-5', stockCount: 5 }])
    const [id, orderId, type] = [randomUUID(), randomUUID(), 'order.gift-wrapped']
    const data = { orderId, userId, items: [{ sku: 'TEA-5', quantity: 2 }], totalCents: 100 }
    await orders.publish({ id, key: orderId, type, body: JSON.stringify({ id, type, occurredAtMs: Date.now(), data }) })
    await expect.poll(waiting, patience).toBe(0)
    expect(await stockOf('TEA-5')).toBe(5)
    expect(await prisma.reservation.count({ where: { orderId } })).toBe(0)
    expect(answerTo(orderId)).toEqual([])
    expect(await deadLetters()).toBe(before)
  })
})
