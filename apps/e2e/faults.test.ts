/** What is promised when something dies: an instance, the cache. Each part is killed once, and starts again by itself. */
import { randomUUID } from 'node:crypto'
import type { OrderPage } from '@shop/contracts/order'
import type { Problem } from '@shop/contracts/problem'
import type { Product } from '@shop/contracts/product'
import { describe, expect, it } from 'vitest'
import { addToCart, createCustomer, createShopper, insist, placeOrder, settled, someProducts } from './shopper.ts'
import { kill, ownStack } from './stack.ts'

describe.skipIf(!ownStack)('with parts that die', () => {
  it('loses none of 200 reads while a catalog instance is killed', async () => {
    const guest = createShopper()
    const products = await someProducts(guest, 20)
    const statuses = await whileKilling('catalog-1', 200, (i) =>
      guest.get(`/api/products/${products[i % products.length]?.sku}`).then(({ status }) => status),
    )
    expect(statuses).toEqual(Array.from({ length: 200 }, () => 200))
  })

  it('loses none of 100 orders with a key while an order instance is killed, and doubles none', async () => {
    const customers = await Promise.all(Array.from({ length: 10 }, () => createCustomer()))
    const products = (await someProducts(customers[0]?.shopper ?? createShopper(), 10)) as Product[]
    const buyer = (i: number) => customers[i % customers.length]?.shopper ?? createShopper()
    const keys = Array.from({ length: 100 }, () => randomUUID())
    for (const [i, { shopper }] of customers.entries()) await addToCart(shopper, products[i]?.sku as string, 1)
    const answers = await whileKilling('order-1', 100, (i) => insist(() => placeOrder(buyer(i), keys[i])))
    // A customer's first order takes her cart; her other keys hear that it is empty or ordered. None is lost, none fails.
    for (const { status, body } of answers) {
      if (status !== 202)
        expect([409, 'cart-empty', 'cart-ordered']).toEqual(expect.arrayContaining([status, codeOf(body)]))
    }
    for (const { shopper } of customers) {
      const { body } = await shopper.get<OrderPage>('/api/orders')
      expect(body.items).toHaveLength(1)
      for (const order of body.items) expect((await settled(shopper, order.id)).status).toBe('confirmed')
    }
  })

  it('answers every read while the cache Redis is killed and comes back', async () => {
    const guest = createShopper()
    const products = await someProducts(guest, 20)
    const read = (i: number) => guest.get(`/api/products/${products[i % products.length]?.sku}`)
    const answers = await whileKilling('redis-cache', 200, read)
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 200 }, () => 200))
    await expect.poll(async () => (await read(0)).headers.get('x-cache'), { timeout: 15_000 }).toMatch(/^hit/)
  })
})

function codeOf(body: unknown): string | undefined {
  return (body as Partial<Problem> | undefined)?.code
}

/** `count` requests, eight at a time; the part is killed when a third of them is over. */
async function whileKilling<Result>(
  part: string,
  count: number,
  request: (index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next++
      if (index === Math.floor(count / 3)) kill(part)
      results[index] = await request(index)
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return results
}
