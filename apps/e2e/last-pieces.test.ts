/**
 * Three hundred want one of fifty pieces, each of them sends the order twice, and while they do parts of the shop die. What is counted
 * is counted through the door, as everybody sees it.
 */
import { randomUUID } from 'node:crypto'
import type { Order, OrderPage } from '@shop/contracts/order'
import type { Product } from '@shop/contracts/product'
import { beforeAll, describe, expect, it } from 'vitest'
import { createCustomer, forEachOf, insist, placeOrder, type Shopper, signIn } from './shopper.ts'
import { accounts, kill, ownStack } from './stack.ts'

const buyerCount = 300
const pieceCount = 50
const sku = `LAST-${randomUUID().slice(0, 8).toUpperCase()}`
const buyers: Shopper[] = []
let saleCount = 0
const patience = { timeout: 60_000, interval: 250 }

describe.skipIf(!ownStack)('three hundred buyers and fifty pieces', () => {
  beforeAll(async () => {
    const admin = await signIn(accounts.find(({ role }) => role === 'admin') as (typeof accounts)[0])
    const categories = (await admin.get<{ items: { slug: string }[] }>('/api/categories')).body.items
    const product = { sku, name: 'The last ones', description: '', category: categories[0]?.slug, priceCents: 1_000 }
    const created = await admin.post('/api/products', { ...product, stockCount: pieceCount })
    expect(created.status).toBe(201)
    await forEachOf(Array.from({ length: buyerCount }), 8, async () => buyers.push((await createCustomer()).shopper))
  }, 240_000)

  it(
    'sell exactly fifty although an order and a catalog instance are killed in the middle of it',
    sale('order-2', 'catalog-2'),
    120_000,
  )
  it(
    'sell exactly fifty although the Redis of the streams is killed and starts again in the middle of it',
    sale('redis-state'),
    120_000,
  )
})

function sale(...victims: string[]) {
  return async () => {
    saleCount += 1
    await forEachOf(buyers, 16, (buyer) => insist(() => buyer.put(`/api/cart/items/${sku}`, { quantity: 1 })))
    const placed: string[] = []
    let placedCount = 0
    await forEachOf(buyers, 60, async (buyer, index) => {
      const key = randomUUID()
      const twice = [1, 2].map(() => insist(() => placeOrder(buyer, key), 60_000))
      const [first, second] = await Promise.all(twice)
      expect(first).toMatchObject({ status: 202, text: second?.text })
      placed[index] = first?.body.id as string
      placedCount += 1
      if (placedCount === Math.floor(buyerCount / 3)) for (const victim of victims) kill(victim)
    })

    const orders = await settledOrders(placed)
    const confirmed = orders.filter(({ status }) => status === 'confirmed')
    expect(confirmed).toHaveLength(pieceCount)
    for (const order of orders) {
      if (order.status !== 'confirmed')
        expect(order).toMatchObject({ status: 'cancelled', cancelReason: 'out-of-stock' })
    }
    await expect.poll(stockCount, patience).toBe(0)
    await returnAll(placed, confirmed)
  }
}

/** Of each buyer the newest order, which is the one she has placed: none is lost, none doubled. Waits until each has come to its end. */
async function settledOrders(placed: readonly string[]): Promise<Order[]> {
  const orders: Order[] = []
  await forEachOf(buyers, 12, async (buyer, index) => {
    const orderOf = async () => {
      const { body } = await insist(() => buyer.get<OrderPage>('/api/orders?limit=100'))
      expect(body.items).toHaveLength(saleCount)
      orders[index] = body.items[0] as Order
      expect(orders[index]?.id).toBe(placed[index])
      return orders[index]?.status
    }
    await expect.poll(orderOf, patience).toMatch(/confirmed|cancelled/)
  })
  return orders
}

/** The sum is checked backwards too: when all is cancelled every piece is there again, and nobody has paid. */
async function returnAll(placed: readonly string[], confirmed: readonly Order[]) {
  await forEachOf(confirmed, 8, async ({ id }) => {
    const buyer = buyers[placed.indexOf(id)] as Shopper
    await insist(() => buyer.post<Order>(`/api/orders/${id}/cancel`, undefined))
    await expect.poll(async () => (await buyer.get<Order>(`/api/orders/${id}`)).body.refund, patience).toBe('done')
  })
  await expect.poll(stockCount, patience).toBe(pieceCount)
}

async function stockCount(): Promise<number | undefined> {
  const { body } = await insist(() => (buyers[0] as Shopper).get<Product>(`/api/products/${sku}`))
  return body.stockCount
}
