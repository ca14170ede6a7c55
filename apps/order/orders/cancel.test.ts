import type { OrderCancelled } from '@shop/contracts/events'
import type { Identity } from '@shop/contracts/identity'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startOrder } from '../order.fixture.ts'

const order = await startOrder()
const { prisma, told, sayStock, customer, placed, cancel, statusOf } = order
beforeAll(() => void order.prices.set('TEA-1', 450))
afterAll(order.stop)

const patience = { timeout: 10_000, interval: 20 }
const shown = async (as: Identity, id: string) => (await order.ask(`/api/orders/${id}`, { as })).json()
const charge = (key: string) => prisma.simulatedCharge.findUniqueOrThrow({ where: { key } })

async function confirmed() {
  const { as, id } = await placed()
  await sayStock('stock.reserved', id)
  await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
  return { as, id }
}

describe('cancelling an order', () => {
  it('twice is cancelling once; nothing is given back of what was not paid', async () => {
    const { as, id } = await placed()
    expect((await cancel(as, id)).json()).toMatchObject({ status: 'cancelled', cancelReason: 'by-customer' })
    expect((await cancel(as, id)).statusCode).toBe(200)
    expect((await shown(as, id)).refund).toBeUndefined()
    expect(await prisma.timelineEntry.count({ where: { orderId: id, step: 'cancelled' } })).toBe(1)
  })

  it('that is confirmed gives the money back once, however many cancel at once, and the catalog hears that it was sold', async () => {
    const { as, id } = await confirmed()
    expect(Date.parse((await shown(as, id)).cancellableUntil)).toBeGreaterThan(Date.now())
    const answers = await Promise.all(Array.from({ length: 10 }, () => cancel(as, id)))
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]))
    await expect.poll(() => shown(as, id), patience).toMatchObject({ status: 'cancelled', refund: 'done' })
    expect(await charge(id)).toMatchObject({ outcome: 'approved', refunded: true })
    await expect.poll(async () => (await told(id)).length, patience).toBe(3)
    const events = await told(id)
    expect(events.map(({ type }) => type)).toEqual(['order.placed', 'order.confirmed', 'order.cancelled'])
    const cancelled = events[2] as OrderCancelled
    expect(cancelled.data).toMatchObject({
      wasConfirmed: true,
      items: [{ sku: 'TEA-1', quantity: 2 }],
      totalCents: 900,
    })
    expect((await shown(as, id)).cancellableUntil).toBeUndefined()
  })

  it('that was confirmed too long ago is refused, and it stays as it is', async () => {
    const { as, id } = await confirmed()
    await prisma.order.update({ where: { id }, data: { confirmedAt: new Date(Date.now() - 31 * 60_000) } })
    const refused = await cancel(as, id)
    expect([refused.statusCode, refused.json().code]).toEqual([409, 'order-not-cancellable'])
    expect(await statusOf(as, id)).toBe('confirmed')
    expect(await charge(id)).toMatchObject({ refunded: false })
  })

  it('while the provider is asked gives back what it takes', async () => {
    const { as, id } = await placed(customer(), 'timeout')
    await sayStock('stock.reserved', id)
    await expect.poll(() => prisma.simulatedCharge.count({ where: { key: id } }), patience).toBe(1)
    expect((await cancel(as, id)).json()).toMatchObject({ status: 'cancelled', cancelReason: 'by-customer' })
    await expect.poll(async () => (await charge(id)).refunded, patience).toBe(true)
    await expect.poll(() => shown(as, id), patience).toMatchObject({ status: 'cancelled', refund: 'done' })
  })

  it('at the moment of its confirmation ends in one of the two, and the money is where the goods are not', async () => {
    const orders = await Promise.all(Array.from({ length: 12 }, () => placed()))
    await Promise.all(orders.flatMap(({ as, id }) => [sayStock('stock.reserved', id), cancel(as, id)]))
    for (const { as, id } of orders) {
      await expect
        .poll(async () => {
          const { refund } = await shown(as, id)
          const books = await prisma.simulatedCharge.findUnique({ where: { key: id } })
          return refund !== 'due' && (books === null || books.refunded || books.outcome === 'declined')
        }, patience)
        .toBe(true)
      expect(await statusOf(as, id)).toBe('cancelled')
    }
  })
})
