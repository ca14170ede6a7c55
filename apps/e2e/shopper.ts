/** What shoppers do, as the end-to-end tests need it. */
import { randomUUID } from 'node:crypto'
import type { Cart } from '@shop/contracts/cart'
import type { Card, Order, OrderProgress } from '@shop/contracts/order'
import type { Problem } from '@shop/contracts/problem'
import type { Product, ProductPage } from '@shop/contracts/product'
import type { SignedIn, User } from '@shop/contracts/user'
import { type Answer, type Browser, createBrowser } from '@shop/test-kit/browser'

const followTimeoutMs = 10_000
const pollMs = 25

/** From `npm run e2e`, which takes BASE_URL; vitest keeps a variable of that name for itself. */
export const baseUrl = process.env.SHOP_URL ?? 'http://localhost:8080'

export type Shopper = Browser

export function createShopper(url = baseUrl): Shopper {
  return createBrowser(url)
}

/** Signs in with an account that exists. */
export async function signIn(credentials: { email: string; password: string }): Promise<Shopper> {
  const shopper = createShopper()
  const { email, password } = credentials
  const signedIn = await shopper.post<SignedIn>('/api/sessions', { email, password })
  if (signedIn.status !== 201) throw new Error(`signing in answered ${signedIn.status}: ${signedIn.text}`)
  return shopper
}

/** Registers a new customer and signs in. */
export async function createCustomer(shopper = createShopper()) {
  const credentials = { email: `${randomUUID()}@example.com`, password: randomUUID() }
  const registered = await shopper.post<User>('/api/users', { ...credentials, name: 'Test Customer' })
  if (registered.status !== 201) throw new Error(`registering answered ${registered.status}: ${registered.text}`)
  const signedIn = await shopper.post<SignedIn>('/api/sessions', credentials)
  if (signedIn.status !== 201) throw new Error(`signing in answered ${signedIn.status}: ${signedIn.text}`)
  return { shopper, credentials, user: registered.body }
}

/** Some products that are in stock. */
export async function someProducts(shopper: Shopper, count: number): Promise<Product[]> {
  const { body } = await shopper.get<ProductPage>('/api/products?limit=100&sort=name')
  const products = body.items.filter((product) => product.stockCount >= 10).slice(0, count)
  if (products.length < count) throw new Error(`the shop has only ${products.length} products in stock`)
  return products
}

export async function addToCart(shopper: Shopper, sku: string, quantity: number): Promise<Cart> {
  const answer = await shopper.put<Cart>(`/api/cart/items/${sku}`, { quantity })
  if (answer.status !== 200) throw new Error(`PUT cart item answered ${answer.status}: ${answer.text}`)
  return answer.body
}

export function placeOrder(shopper: Shopper, key: string = randomUUID(), card: Card = 'approve') {
  return shopper.post<Order>('/api/orders', { payment: { card } }, { 'idempotency-key': key })
}

/**
 * As a client does that wants to know: sends it again, with its key, while the answer is lost, is not there yet, or is that the shop
 * cannot serve now. Throws after `timeoutMs`.
 */
export async function insist<Body>(send: () => Promise<Answer<Body>>, timeoutMs = 30_000): Promise<Answer<Body>> {
  const deadlineMs = Date.now() + timeoutMs
  for (;;) {
    const answer = await send().catch((error: Error) => error)
    if (!(answer instanceof Error) && !isMomentary(answer)) return answer
    if (Date.now() > deadlineMs)
      throw answer instanceof Error ? answer : new Error(`still ${answer.status}: ${answer.text}`)
    await new Promise((resolve) => setTimeout(resolve, 250 + Math.random() * 500))
  }
}

function isMomentary({ status, body }: Answer<unknown>): boolean {
  return status === 429 || status >= 500 || (body as Problem | undefined)?.code === 'request-in-progress'
}

/** Works on all items, so many at a time. */
export async function forEachOf<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item, index: number) => Promise<unknown>,
) {
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      await work(items[index] as Item, index)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

/** Follows an order live, as a browser's EventSource does, from after the event of this number until the server ends the stream. */
export async function follow(shopper: Shopper, orderId: string, lastEventId = 0) {
  const response = await fetch(`${baseUrl}/api/orders/${orderId}/events`, {
    signal: AbortSignal.timeout(followTimeoutMs),
    headers: { ...shopper.cookieHeader(), 'last-event-id': String(lastEventId) },
  })
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith('data: '))
  const events = lines.map((line) => JSON.parse(line.slice('data: '.length)) as OrderProgress)
  return { status: response.status, type: response.headers.get('content-type'), events }
}

/** Asks until the order is settled: confirmed or cancelled. Throws after `timeoutMs`. */
export async function settled(shopper: Shopper, orderId: string, timeoutMs = 30_000): Promise<Order> {
  const deadlineMs = Date.now() + timeoutMs
  for (;;) {
    const { status, body } = await shopper.get<Order>(`/api/orders/${orderId}`)
    if (status === 200 && (body.status === 'confirmed' || body.status === 'cancelled')) return body
    if (Date.now() > deadlineMs)
      throw new Error(`order ${orderId} is still ${status} ${body?.status} after ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
