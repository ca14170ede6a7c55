/** A person with a browser: keeps cookies, speaks JSON, knows only the public URL. */
import { randomUUID } from 'node:crypto'
import type { Cart } from '@shop/contracts/cart'
import type { Order } from '@shop/contracts/order'
import type { Problem } from '@shop/contracts/problem'
import type { Product, ProductPage } from '@shop/contracts/product'
import type { SignedIn, User } from '@shop/contracts/user'

const requestTimeoutMs = 10_000
const pollMs = 25

/** From `npm run e2e`, which takes BASE_URL; vitest keeps a variable of that name for itself. */
export const baseUrl = process.env.SHOP_URL ?? 'http://localhost:8080'

export interface Answer<Body> {
  status: number
  headers: Headers
  body: Body
  text: string
}

export interface RequestOptions {
  body?: unknown
  headers?: Record<string, string>
}

export type Shopper = ReturnType<typeof createShopper>

export function createShopper(url = baseUrl) {
  const cookies = new Map<string, string>()
  return {
    cookies,
    send,
    get: <Body>(path: string, headers?: Record<string, string>) => send<Body>('GET', path, { headers }),
    post: <Body>(path: string, body: unknown, headers?: Record<string, string>) =>
      send<Body>('POST', path, { body, headers }),
    put: <Body>(path: string, body: unknown) => send<Body>('PUT', path, { body }),
    delete: <Body>(path: string) => send<Body>('DELETE', path),
  }

  async function send<Body = Problem>(
    method: string,
    path: string,
    { body, headers }: RequestOptions = {},
  ): Promise<Answer<Body>> {
    const response = await fetch(url + path, {
      method,
      redirect: 'manual',
      signal: AbortSignal.timeout(requestTimeoutMs),
      headers: {
        ...(cookies.size > 0 && { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && {
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    })
    remember(response.headers.getSetCookie())
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: parse(text) as Body, text }
  }

  function remember(lines: string[]) {
    for (const line of lines) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (name === undefined || value === undefined) continue
      if (value === '' || /max-age=0/i.test(line)) cookies.delete(name)
      else cookies.set(name, value)
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
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

export function placeOrder(
  shopper: Shopper,
  key: string = randomUUID(),
  card: 'approve' | 'decline' | 'timeout' = 'approve',
) {
  return shopper.post<Order>('/api/orders', { payment: { card } }, { 'idempotency-key': key })
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
