import { randomUUID } from 'node:crypto'
import { maxCartLines, maxLineQuantity } from '@shop/contracts/cart'
import type { Identity } from '@shop/contracts/identity'
import { maxPriceCents } from '@shop/contracts/product'
import { afterAll, describe, expect, it } from 'vitest'
import { startOrder } from './order.fixture.ts'
import { readEvents } from './orders/event-reader.fixture.ts'
import { centsOf } from './orders/row.ts'

const order = await startOrder()
afterAll(order.stop)

const patience = { timeout: 15_000, interval: 20 }
const skus = Array.from({ length: maxCartLines }, (_, index) => `GOLD-${10 + index}`)
for (const sku of skus) order.prices.set(sku, maxPriceCents)
const totalCents = maxCartLines * maxLineQuantity * maxPriceCents

async function fullCart(): Promise<Identity> {
  const as = order.customer()
  await Promise.all(skus.map((sku) => order.fill(as, sku, maxLineQuantity)))
  return as
}

describe('the dearest cart there can be', () => {
  it.each(['approve', 'callback', 'timeout'] as const)(
    'is ordered, paid by a card that says "%s", cancelled and paid back in full',
    async (card) => {
      const as = await fullCart()
      const placed = await order.place(as, randomUUID(), card, { expectedTotalCents: totalCents })
      expect([placed.statusCode, placed.json().totalCents]).toEqual([202, totalCents])
      const { id } = placed.json()
      await order.sayStock('stock.reserved', id)
      await expect.poll(() => order.statusOf(as, id), patience).toBe('confirmed')
      await order.cancel(as, id)
      const shown = async () => (await order.ask(`/api/orders/${id}`, { as })).json()
      await expect.poll(async () => (await shown()).refund, patience).toBe('done')

      const charge = await order.prisma.simulatedCharge.findUniqueOrThrow({ where: { key: id } })
      expect([charge.amountCents, charge.refunded]).toEqual([BigInt(totalCents), true])
      expect((await order.ask('/api/orders', { as })).json().items).toMatchObject([{ id, totalCents }])
      const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'test' }
      const timeline = await order.ask(`/api/orders/${id}/timeline`, { as: admin })
      expect(timeline.json().order.totalCents).toBe(totalCents)
      const told = () => order.told(id)
      await expect.poll(async () => (await told()).length, patience).toBe(3)
      for (const { data } of await told()) expect(data.totalCents).toBe(totalCents)
    },
  )

  it('is said to cost something else when the buyer expected another sum, however large', async () => {
    const as = await fullCart()
    for (const expectedTotalCents of [totalCents + 1, Number.MAX_SAFE_INTEGER, 1e300]) {
      const refused = await order.place(as, randomUUID(), 'approve', { expectedTotalCents })
      expect([refused.statusCode, refused.json().code, refused.json().totalCents]).toEqual([
        409,
        'price-changed',
        totalCents,
      ])
    }
  })
})

it('a sum that a number cannot hold exactly is an error, and not another sum', () => {
  expect(centsOf(2n ** 53n - 1n)).toBe(Number.MAX_SAFE_INTEGER)
  for (const sum of [2n ** 53n, -(2n ** 53n), 2n ** 62n]) expect(() => centsOf(sum)).toThrow(RangeError)
})

it('an order is followed from its newest step when a client claims to have seen more steps than there are', async () => {
  const as = await fullCart()
  const { id } = (await order.place(as)).json()
  const url = await order.listen()
  const reader = await readEvents(`${url}/api/orders/${id}/events`, order.identityOf(as), 999_999_999_999_999)
  expect(reader.status).toBe(200)
  await order.sayStock('stock.reserved', id)
  expect(await reader.over).toBe('ended')
  expect(reader.events.at(-1)?.status).toBe('confirmed')
})
