/** What the shop is for: somebody finds a thing, signs in, buys it, and gets it once. */
import { randomUUID } from 'node:crypto'
import type { Cart } from '@shop/contracts/cart'
import type { Order, OrderPage, OrderTimeline, PriceChange } from '@shop/contracts/order'
import type { Category, Product, ProductPage } from '@shop/contracts/product'
import type { SessionList, User } from '@shop/contracts/user'
import { describe, expect, it } from 'vitest'
import {
  addToCart,
  createCustomer,
  createShopper,
  follow,
  placeOrder,
  settled,
  signIn,
  someProducts,
} from './shopper.ts'
import { accounts } from './stack.ts'

describe('a guest', () => {
  it('browses the whole catalogue page by page and sees every product once', async () => {
    const guest = createShopper()
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const { status, body } = await guest.get<ProductPage>(`/api/products?limit=100&sort=price${query}`)
      expect(status).toBe(200)
      seen.push(...body.items.map((product) => product.sku))
      cursor = body.nextCursor
    } while (cursor !== null && seen.length < 2_000)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBeGreaterThanOrEqual(100)
  })

  it('filters by category', async () => {
    const guest = createShopper()
    const { body } = await guest.get<{ items: Category[] }>('/api/categories')
    const category = body.items.find((one) => one.productCount > 0) as Category
    const page = await guest.get<ProductPage>(`/api/products?category=${category.slug}&limit=100`)
    expect(page.body.items.length).toBeGreaterThan(0)
    expect(new Set(page.body.items.map((product) => product.category))).toEqual(new Set([category.slug]))
  })

  it('reads a product: from Postgres first, from the cache then, and as 304 when nothing changed', async () => {
    const guest = createShopper()
    const product = (await someProducts(guest, 30)).at(-1) as Product
    const path = `/api/products/${product.sku}`
    const first = await guest.get<Product>(path)
    const second = await guest.get<Product>(path)
    expect(first.body).toMatchObject({ sku: product.sku, priceCents: product.priceCents })
    expect(second.headers.get('x-cache')).toMatch(/^hit/)
    const etag = second.headers.get('etag') as string
    expect((await guest.get(path, { 'if-none-match': etag })).status).toBe(304)
  })

  it('sees a picture of each product', async () => {
    const guest = createShopper()
    const [product] = await someProducts(guest, 1)
    const { status, headers, text } = await guest.get(product?.imageUrl as string)
    expect(status).toBe(200)
    expect(headers.get('content-type')).toContain('image/svg+xml')
    expect(text).toContain('<svg')
  })

  it('has a cart that is still there after signing in', async () => {
    const shopper = createShopper()
    const [product] = await someProducts(shopper, 1)
    await addToCart(shopper, product?.sku as string, 2)
    await createCustomer(shopper)
    const { body } = await shopper.get<Cart>('/api/cart')
    expect(body.items).toEqual([{ sku: product?.sku, quantity: 2 }])
  })

  it('cannot order', async () => {
    const answer = await placeOrder(createShopper())
    expect(answer.status).toBe(401)
    expect(answer.body).toMatchObject({ code: 'sign-in-required' })
  })
})

describe('a customer', () => {
  it('registers, signs in, buys, and sees the order confirmed at the price of the catalogue', async () => {
    const { shopper, user } = await createCustomer()
    expect((await shopper.get<User>('/api/users/me')).body).toMatchObject({ id: user.id, role: 'customer' })
    const [first, second] = (await someProducts(shopper, 2)) as [Product, Product]
    await addToCart(shopper, first.sku, 1)
    await addToCart(shopper, second.sku, 3)
    const placed = await placeOrder(shopper)
    expect(placed.status).toBe(202)
    const order = await settled(shopper, placed.body.id)
    expect(order.status).toBe('confirmed')
    expect(order.totalCents).toBe(first.priceCents + 3 * second.priceCents)
    expect((await shopper.get<Cart>('/api/cart')).body.items).toEqual([])
    const history = await shopper.get<OrderPage>('/api/orders')
    expect(history.body.items.map((one) => one.id)).toEqual([order.id])
  })

  it('takes what was sold out of stock', async () => {
    const { shopper } = await createCustomer()
    const product = (await someProducts(shopper, 20)).at(-1) as Product
    const before = (await shopper.get<Product>(`/api/products/${product.sku}`)).body.stockCount
    await addToCart(shopper, product.sku, 4)
    const { body } = await placeOrder(shopper)
    await settled(shopper, body.id)
    const after = (await shopper.get<Product>(`/api/products/${product.sku}`)).body.stockCount
    expect(after).toBe(before - 4)
  })

  it('gets one order for one key, however often it is sent', async () => {
    const { shopper } = await createCustomer()
    const [product] = (await someProducts(shopper, 1)) as [Product]
    await addToCart(shopper, product.sku, 1)
    const key = randomUUID()
    const answers = await Promise.all(Array.from({ length: 10 }, () => placeOrder(shopper, key)))
    const again = await placeOrder(shopper, key)
    expect(again.status).toBe(202)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    for (const answer of answers) {
      expect([202, 409]).toContain(answer.status)
      if (answer.status === 202) expect(answer.text).toBe(again.text)
    }
    await settled(shopper, again.body.id)
    expect((await shopper.get<OrderPage>('/api/orders')).body.items).toHaveLength(1)
  })

  it('is refused when a key is used again for something else', async () => {
    const { shopper } = await createCustomer()
    const [product] = (await someProducts(shopper, 1)) as [Product]
    await addToCart(shopper, product.sku, 1)
    const key = randomUUID()
    const first = await placeOrder(shopper, key)
    const other = await placeOrder(shopper, key, 'decline')
    expect(other.status).toBe(422)
    expect(other.body).toMatchObject({ code: 'idempotency-key-reused' })
    await settled(shopper, first.body.id)
  })

  it('gets the stock back into the shop when the payment is declined', async () => {
    const { shopper } = await createCustomer()
    const product = (await someProducts(shopper, 25)).at(-1) as Product
    const stockOf = async () => (await shopper.get<Product>(`/api/products/${product.sku}`)).body.stockCount
    const before = await stockOf()
    await addToCart(shopper, product.sku, 2)
    const { body } = await placeOrder(shopper, randomUUID(), 'decline')
    const order = await settled(shopper, body.id)
    expect(order).toMatchObject({ status: 'cancelled', cancelReason: 'payment-declined' })
    await expect.poll(stockOf, { timeout: 10_000 }).toBe(before)
  })

  it('finds what she wanted in the cart again when the payment is declined, and pays by another card', async () => {
    const { shopper } = await createCustomer()
    const products = await someProducts(shopper, 2)
    const lines = products.map(({ sku }, index) => ({ sku, quantity: index + 1 }))
    for (const { sku, quantity } of lines) await addToCart(shopper, sku, quantity)
    const { body } = await placeOrder(shopper, randomUUID(), 'decline')
    const path = `/api/orders/${body.id}`
    await expect.poll(async () => (await shopper.get<Order>(path)).body.cartReturn, { timeout: 15_000 }).toBe('done')
    const { items } = (await shopper.get<Cart>('/api/cart')).body
    expect(items).toHaveLength(2)
    expect(items).toEqual(expect.arrayContaining(lines))
    const again = await placeOrder(shopper)
    expect((await settled(shopper, again.body.id)).status).toBe('confirmed')
    expect((await shopper.get<Cart>('/api/cart')).body.items).toEqual([])
  })

  it('keeps what she puts into the cart while she orders: 200 tries within 25 ms', { timeout: 120_000 }, async () => {
    const { shopper } = await createCustomer()
    const [first, second] = (await someProducts(shopper, 2)) as [Product, Product]
    for (let attempt = 0; attempt < 200; attempt++) {
      await addToCart(shopper, first.sku, 1)
      const placing = placeOrder(shopper)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 25))
      const [placed] = await Promise.all([placing, addToCart(shopper, second.sku, 2)])
      expect([attempt, placed.status]).toEqual([attempt, 202])
      const cart = await shopper.get<Cart>('/api/cart')
      const quantityOf = (sku: string, items: readonly { sku: string; quantity: number }[]) =>
        items.find((line) => line.sku === sku)?.quantity ?? 0
      const totals = [first, second].map(
        ({ sku }) => quantityOf(sku, placed.body.items) + quantityOf(sku, cart.body.items),
      )
      expect([attempt, totals]).toEqual([attempt, [1, 2]])
      await shopper.delete(`/api/cart/items/${second.sku}`)
      await shopper.post(`/api/orders/${placed.body.id}/cancel`, undefined)
    }
  })

  it('is charged once by a payment provider that answers late', async () => {
    const { shopper } = await createCustomer()
    const [product] = (await someProducts(shopper, 1)) as [Product]
    await addToCart(shopper, product.sku, 1)
    const { body } = await placeOrder(shopper, randomUUID(), 'timeout')
    expect((await settled(shopper, body.id)).status).toBe('confirmed')
  })

  it('is told the new price, and orders at it', async () => {
    const { shopper } = await createCustomer()
    const [product] = (await someProducts(shopper, 1)) as [Product]
    await addToCart(shopper, product.sku, 2)
    const order = (expectedTotalCents: number) => {
      const headers = { 'idempotency-key': randomUUID() }
      return shopper.post<Order & PriceChange>(
        '/api/orders',
        { payment: { card: 'approve' }, expectedTotalCents },
        headers,
      )
    }
    const refused = await order(1)
    expect(refused.status).toBe(409)
    expect(refused.body).toMatchObject({ code: 'price-changed', items: [{ sku: product.sku, quantity: 2 }] })
    const placed = await order(refused.body.totalCents)
    expect(placed.status).toBe(202)
    expect((await settled(shopper, placed.body.id)).status).toBe('confirmed')
  })

  it('follows an order until it is confirmed, and goes on where she was', async () => {
    const { shopper } = await createCustomer()
    const [product] = (await someProducts(shopper, 1)) as [Product]
    await addToCart(shopper, product.sku, 1)
    const { body } = await placeOrder(shopper, randomUUID(), 'callback')
    const live = await follow(shopper, body.id)
    expect(live.type).toBe('text/event-stream; charset=utf-8')
    const steps = ['placed', 'reserved', 'payment-asked', 'payment-pending', 'payment-approved', 'confirmed']
    expect(live.events.map(({ number, step }) => `${number} ${step}`)).toEqual(
      steps.map((step, i) => `${i + 1} ${step}`),
    )
    expect((await follow(shopper, body.id, 4)).events).toEqual(live.events.slice(4))
    expect((await follow(shopper, body.id, 6)).status).toBe(204)
    const stranger = (await createCustomer()).shopper
    expect((await follow(stranger, body.id)).status).toBe(404)
  })

  it('cancels a confirmed order: she gets the money back, and the shop its pieces', async () => {
    const { shopper } = await createCustomer()
    const product = (await someProducts(shopper, 27)).at(-1) as Product
    const stockOf = async () => (await shopper.get<Product>(`/api/products/${product.sku}`)).body.stockCount
    const before = await stockOf()
    await addToCart(shopper, product.sku, 2)
    const { body } = await placeOrder(shopper)
    expect((await settled(shopper, body.id)).cancellableUntil).toBeDefined()
    await expect.poll(stockOf, { timeout: 10_000 }).toBe(before - 2)
    const cancelled = await shopper.post<Order>(`/api/orders/${body.id}/cancel`, undefined)
    expect(cancelled.body).toMatchObject({ status: 'cancelled', cancelReason: 'by-customer' })
    const refundOf = async () => (await shopper.get<Order>(`/api/orders/${body.id}`)).body.refund
    await expect.poll(refundOf, { timeout: 10_000 }).toBe('done')
    await expect.poll(stockOf, { timeout: 10_000 }).toBe(before)
  })

  it('cannot read how her order came about, but an administrator can', async () => {
    const { shopper, user } = await createCustomer()
    const [product] = (await someProducts(shopper, 1)) as [Product]
    await addToCart(shopper, product.sku, 1)
    const { body } = await placeOrder(shopper, randomUUID(), 'timeout')
    await settled(shopper, body.id)
    const path = `/api/orders/${body.id}/timeline`
    expect((await shopper.get(path)).status).toBe(403)
    const account = accounts.find(({ role }) => role === 'admin')
    if (!account) return // a shop that runs elsewhere
    const timeline = (await (await signIn(account)).get<OrderTimeline>(path)).body
    expect(timeline).toMatchObject({ userId: user.id, payment: { status: 'approved', attempts: 2 }, refund: null })
    const told = timeline.items.flatMap((entry) => entry.told?.type ?? [])
    expect(told).toEqual(['order.placed', 'order.confirmed'])
  })

  it('cannot buy more than there is', async () => {
    const { shopper } = await createCustomer()
    const page = await shopper.get<ProductPage>('/api/products?limit=100&sort=newest')
    const scarce = page.body.items.find((product) => product.stockCount < 99) as Product
    await addToCart(shopper, scarce.sku, 99)
    const { body } = await placeOrder(shopper)
    expect(await settled(shopper, body.id)).toMatchObject({ status: 'cancelled', cancelReason: 'out-of-stock' })
  })

  it('does not see the orders of others', async () => {
    const [ada, ben] = await Promise.all([createCustomer(), createCustomer()])
    const [product] = (await someProducts(ada.shopper, 1)) as [Product]
    await addToCart(ada.shopper, product.sku, 1)
    const { body } = await placeOrder(ada.shopper)
    expect((await ben.shopper.get<Order>(`/api/orders/${body.id}`)).status).toBe(404)
    await settled(ada.shopper, body.id)
  })

  it('signs out, and the old cookie opens nothing any more', async () => {
    const { shopper } = await createCustomer()
    const stolen = createShopper()
    for (const [name, value] of shopper.cookies) stolen.cookies.set(name, value)
    expect((await stolen.get('/api/users/me')).status).toBe(200)
    expect((await shopper.delete('/api/sessions/current')).status).toBe(204)
    expect((await stolen.get('/api/users/me')).status).toBe(401)
  })

  it('sees her devices and signs one of them out', async () => {
    const { shopper, credentials } = await createCustomer()
    const phone = createShopper()
    await phone.post('/api/sessions', credentials)
    const { body } = await shopper.get<SessionList>('/api/sessions')
    expect(body.items).toHaveLength(2)
    const other = body.items.find((session) => !session.current)
    expect((await shopper.delete(`/api/sessions/${other?.id}`)).status).toBe(204)
    expect((await phone.get('/api/users/me')).status).toBe(401)
    expect((await shopper.get('/api/users/me')).status).toBe(200)
  })
})
