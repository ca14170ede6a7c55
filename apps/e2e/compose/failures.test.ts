/** What is promised when a container dies: who still gets an answer, what is refused, and that all is well when it is back. */
import { randomUUID } from 'node:crypto'
import { setTimeout as elapse } from 'node:timers/promises'
import type { Cart } from '@shop/contracts/cart'
import type { OrderPage } from '@shop/contracts/order'
import { afterEach, describe, expect, it } from 'vitest'
import {
  addToCart,
  createCustomer,
  createShopper,
  placeOrder,
  type Shopper,
  settled,
  someProducts,
} from '../shopper.ts'
import { whileDead } from './docker.ts'

/** Everything back to normal, on a machine that is busy. */
const recovery = { timeout: 60_000, interval: 250 }
/** What is older than this has left the memory of Redis for the append-only file (`everysec`, postponed by a busy disk). */
const writtenMs = 2_500
const guest = createShopper()

/** The next test starts with a shop that sells. */
afterEach(async () => {
  await expect.poll(buys, recovery).toBe('confirmed')
}, 120_000)

describe('without a container of', { timeout: 240_000 }, () => {
  it('redis-cache, products come from Postgres, and then from the cache again', async () => {
    const [product] = await someProducts(guest, 1)
    const read = () => guest.get(`/api/products/${product?.sku}`)
    await whileDead('redis-cache', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, read))
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
      await expect.poll(async () => (await read()).headers.get('x-cache'), recovery).toBe('bypass')
      expect(await buys()).toBe('confirmed')
    })
    await expect.poll(async () => (await read()).headers.get('x-cache'), recovery).toMatch(/^hit/)
  })

  it('redis-state, public pages answer, private ones and the checkout say 503 and change nothing', async () => {
    const { shopper } = await createCustomer()
    const [product] = await someProducts(shopper, 1)
    await addToCart(shopper, product?.sku as string, 2)
    const cookies = new Map(shopper.cookies)
    await elapse(writtenMs)
    await whileDead('redis-state', async () => {
      for (const path of ['/api/products', `/api/products/${product?.sku}`, '/api/categories']) {
        expect([path, (await shopper.get(path)).status]).toEqual([path, 200])
      }
      for (const path of ['/api/users/me', '/api/cart', '/api/orders', '/api/sessions']) {
        const { status, headers } = await shopper.get(path)
        expect([path, status, headers.getSetCookie()]).toEqual([path, 503, []])
      }
      const refused = await placeOrder(shopper)
      expect([refused.status, refused.headers.getSetCookie()]).toEqual([503, []])
    })
    expect(shopper.cookies).toEqual(cookies)
    await expect.poll(async () => (await shopper.get('/api/users/me')).status, recovery).toBe(200)
    expect((await shopper.get<OrderPage>('/api/orders')).body.items).toEqual([])
    expect((await shopper.get<Cart>('/api/cart')).body.items).toEqual([{ sku: product?.sku, quantity: 2 }])
  })

  it('postgres, cached products answer, and the rest says 503', async () => {
    const { shopper, credentials } = await createCustomer()
    const [product] = await someProducts(shopper, 1)
    const read = () => shopper.get(`/api/products/${product?.sku}`)
    await expect.poll(async () => (await read()).headers.get('x-cache'), recovery).toMatch(/^hit/)
    await whileDead('postgres', async () => {
      expect((await read()).status).toBe(200)
      const answers = {
        'a list': await shopper.get(`/api/products?limit=${7}&sort=price`),
        'a product that is not cached': await shopper.get('/api/products/NOT-CACHED'),
        orders: await shopper.get('/api/orders'),
        'an order': await placeOrder(shopper),
        'signing in': await createShopper().post('/api/sessions', credentials),
        registering: await createShopper().post('/api/users', { ...credentials, email: 'x@example.com', name: 'X' }),
      }
      const statuses = Object.fromEntries(Object.entries(answers).map(([what, { status }]) => [what, status]))
      expect(statuses).toEqual(Object.fromEntries(Object.keys(answers).map((what) => [what, 503])))
    })
    await expect.poll(async () => (await shopper.get('/api/orders')).status, recovery).toBe(200)
  })

  it('catalog, one of two, no read is lost', async () => {
    const products = await someProducts(guest, 20)
    const statuses = await whileDead('catalog', () =>
      manyTimes(100, async (i) => (await guest.get(`/api/products/${products[i % 20]?.sku}`)).status),
    )
    expect(statuses).toEqual(statuses.map(() => 200))
  })

  it('order, one of two, no checkout with a key is lost or doubled', async () => {
    const customers = await Promise.all(Array.from({ length: 8 }, () => createCustomer()))
    const products = await someProducts(guest, 8)
    for (const [i, { shopper }] of customers.entries()) await addToCart(shopper, products[i]?.sku as string, 1)
    const keys = customers.map(() => randomUUID())
    const first = await whileDead('order', () => manyTimes(8, (i) => placeOrder(shopperOf(i), keys[i])))
    const again = await manyTimes(8, (i) => placeOrder(shopperOf(i), keys[i]))
    expect(first.map(({ status }) => status)).toEqual(first.map(() => 202))
    expect(again.map(({ text }) => text)).toEqual(first.map(({ text }) => text))
    for (const { shopper } of customers) {
      const { items } = (await shopper.get<OrderPage>('/api/orders')).body
      expect(items).toHaveLength(1)
      expect((await settled(shopper, items[0]?.id as string, recovery.timeout)).status).toBe('confirmed')
    }
    function shopperOf(i: number): Shopper {
      return customers[i]?.shopper as Shopper
    }
  })

  it('user, signing in says 503, and who is signed in goes on', async () => {
    const { shopper, credentials } = await createCustomer()
    const [product] = await someProducts(shopper, 1)
    await whileDead('user', async () => {
      expect((await createShopper().post('/api/sessions', credentials)).status).toBe(503)
      await addToCart(shopper, product?.sku as string, 1)
      expect((await placeOrder(shopper)).status).toBe(202)
    })
    const back = () => createShopper().post('/api/sessions', credentials)
    await expect.poll(async () => (await back()).status, recovery).toBe(201)
  })

  it('gateway, nothing answers, and everything again when it is back', async () => {
    const { shopper } = await createCustomer()
    await whileDead('gateway', async () => {
      await expect(shopper.get('/api/products')).rejects.toThrow()
    })
    await expect.poll(async () => (await shopper.get('/api/users/me')).status, recovery).toBe(200)
  })
})

/** A whole purchase: the status of the order, or what went wrong. */
async function buys(): Promise<string> {
  try {
    const { shopper } = await createCustomer()
    const [product] = await someProducts(shopper, 1)
    await addToCart(shopper, product?.sku as string, 1)
    const { status, body, text } = await placeOrder(shopper)
    return status === 202 ? (await settled(shopper, body.id)).status : text
  } catch (error) {
    return String(error)
  }
}

/** `count` requests, four at a time. */
async function manyTimes<Result>(count: number, request: (index: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next++
      results[index] = await request(index)
    }
  }
  await Promise.all(Array.from({ length: 4 }, worker))
  return results
}
