/** Whatever is sent: a 4xx that says what is wrong, with a stable code, and nothing half written. */
import { randomUUID } from 'node:crypto'
import type { OrderPage } from '@shop/contracts/order'
import type { Problem } from '@shop/contracts/problem'
import { beforeAll, describe, expect, it } from 'vitest'
import { addToCart, createCustomer, createShopper, type Shopper, someProducts } from './shopper.ts'

let customer: Shopper
let sku: string

beforeAll(async () => {
  customer = (await createCustomer()).shopper
  sku = (await someProducts(customer, 1))[0]?.sku as string
  await addToCart(customer, sku, 1)
})

const json = { 'content-type': 'application/json' }
const key = () => ({ 'idempotency-key': randomUUID() })
const checkout = { payment: { card: 'approve' } }

interface Case {
  what: string
  method: string
  path: string | (() => string)
  body?: unknown
  headers?: Record<string, string>
  status: number
  code: string
  field?: string
}

const cases: Case[] = [
  {
    what: 'malformed JSON',
    method: 'POST',
    path: '/api/users',
    body: '{"email":',
    headers: json,
    status: 400,
    code: 'body-not-json',
  },
  {
    what: 'a body of the wrong type',
    method: 'POST',
    path: '/api/users',
    body: [],
    status: 400,
    code: 'validation-failed',
  },
  {
    what: 'a field of the wrong type',
    method: 'POST',
    path: '/api/users',
    body: { email: 1, name: 'A', password: 'long enough 1' },
    status: 400,
    code: 'validation-failed',
    field: '/email',
  },
  {
    what: 'an unknown field',
    method: 'POST',
    path: '/api/users',
    body: { email: 'a@example.com', name: 'A', password: 'long enough 1', role: 'admin' },
    status: 400,
    code: 'validation-failed',
    field: '/role',
  },
  {
    what: 'a missing field',
    method: 'POST',
    path: '/api/users',
    body: { email: 'a@example.com', name: 'A' },
    status: 400,
    code: 'validation-failed',
    field: '/password',
  },
  {
    what: 'a body over 1 MB',
    method: 'POST',
    path: '/api/users',
    body: JSON.stringify({ name: 'x'.repeat(1_100_000) }),
    headers: json,
    status: 413,
    code: 'body-too-large',
  },
  {
    what: 'a body that is not JSON',
    method: 'POST',
    path: '/api/users',
    body: 'a=b',
    headers: { 'content-type': 'text/plain' },
    status: 415,
    code: 'unsupported-media-type',
  },
  {
    what: 'a cursor that is none',
    method: 'GET',
    path: '/api/products?cursor=nonsense',
    status: 400,
    code: 'cursor-invalid',
    field: 'cursor',
  },
  {
    what: 'a limit that is no number',
    method: 'GET',
    path: '/api/products?limit=many',
    status: 400,
    code: 'validation-failed',
    field: 'limit',
  },
  {
    what: 'an unknown query field',
    method: 'GET',
    path: '/api/products?colour=red',
    status: 400,
    code: 'validation-failed',
    field: 'colour',
  },
  {
    what: 'an unknown product',
    method: 'GET',
    path: '/api/products/NO-SUCH-PRODUCT',
    status: 404,
    code: 'product-not-found',
  },
  {
    what: 'a sku of the wrong shape',
    method: 'GET',
    path: '/api/products/%7Bx%7D',
    status: 400,
    code: 'validation-failed',
    field: 'sku',
  },
  {
    what: 'quantity 0',
    method: 'PUT',
    path: () => `/api/cart/items/${sku}`,
    body: { quantity: 0 },
    status: 400,
    code: 'validation-failed',
    field: '/quantity',
  },
  {
    what: 'quantity 10^9',
    method: 'PUT',
    path: () => `/api/cart/items/${sku}`,
    body: { quantity: 1e9 },
    status: 400,
    code: 'validation-failed',
    field: '/quantity',
  },
  {
    what: 'quantity 1.5',
    method: 'PUT',
    path: () => `/api/cart/items/${sku}`,
    body: { quantity: 1.5 },
    status: 400,
    code: 'validation-failed',
    field: '/quantity',
  },
  {
    what: 'an order without Idempotency-Key',
    method: 'POST',
    path: '/api/orders',
    body: checkout,
    status: 400,
    code: 'idempotency-key-required',
  },
  {
    what: 'an unknown card',
    method: 'POST',
    path: '/api/orders',
    body: { payment: { card: 'gold' } },
    headers: key(),
    status: 400,
    code: 'validation-failed',
    field: '/payment/card',
  },
  {
    what: "an order with the client's price",
    method: 'POST',
    path: '/api/orders',
    body: { ...checkout, totalCents: 1 },
    headers: key(),
    status: 400,
    code: 'validation-failed',
    field: '/totalCents',
  },
  {
    what: 'an unknown order',
    method: 'GET',
    path: `/api/orders/${randomUUID()}`,
    status: 404,
    code: 'order-not-found',
  },
  {
    what: 'an order id of the wrong shape',
    method: 'GET',
    path: '/api/orders/1',
    status: 400,
    code: 'validation-failed',
    field: 'id',
  },
  { what: 'an unknown path', method: 'GET', path: '/api/nothing', status: 404, code: 'route-not-found' },
  {
    what: 'a method that is not offered',
    method: 'DELETE',
    path: '/api/categories',
    status: 405,
    code: 'method-not-allowed',
  },
  {
    what: 'another origin',
    method: 'POST',
    path: '/api/sessions',
    body: { email: 'a@example.com', password: 'x' },
    headers: { origin: 'https://evil.example' },
    status: 403,
    code: 'origin-not-allowed',
  },
  {
    what: 'the internal price list',
    method: 'GET',
    path: '/api/products/quote?sku=A-1',
    status: 404,
    code: 'route-not-found',
  },
]

describe('the gateway refuses', () => {
  it.each(cases)('$what', async ({ method, path, body, headers, status, code, field }) => {
    const answer = await customer.send<Problem>(method, typeof path === 'string' ? path : path(), { body, headers })
    expect({ status: answer.status, code: answer.body?.code }).toEqual({ status, code })
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    if (field !== undefined) expect(answer.body.errors?.map((error) => error.path)).toContain(field)
  })

  it('a wrong password and an unknown account in the same words', async () => {
    const { credentials } = await createCustomer()
    const stranger = createShopper()
    const wrong = await stranger.post<Problem>('/api/sessions', { ...credentials, password: 'not this one' })
    const unknown = await stranger.post<Problem>('/api/sessions', {
      email: `${randomUUID()}@example.com`,
      password: 'not this one',
    })
    expect(wrong.status).toBe(401)
    expect(unknown.status).toBe(401)
    expect({ ...unknown.body, requestId: '' }).toEqual({ ...wrong.body, requestId: '' })
  })

  it('a forged or damaged session cookie: public pages answer, private ones ask to sign in', async () => {
    for (const value of ['x', 'A'.repeat(43), '../../etc', 'a'.repeat(5_000)]) {
      const forger = createShopper()
      forger.cookies.set('shop_session', value)
      expect((await forger.get('/api/products?limit=1')).status).toBe(200)
      expect((await forger.get<Problem>('/api/users/me')).body.code).toBe('sign-in-required')
    }
  })

  it('an identity header that a client brings: it is dropped, not believed', async () => {
    const forger = createShopper()
    const claims = Buffer.from(JSON.stringify({ sub: randomUUID(), role: 'admin' })).toString('base64url')
    const answer = await forger.get<Problem>('/api/users/me', { 'x-shop-identity': `eyJhbGciOiJub25lIn0.${claims}.` })
    expect(answer.body.code).toBe('sign-in-required')
  })

  it('and nothing of it was half written', async () => {
    expect((await customer.get<OrderPage>('/api/orders')).body.items).toEqual([])
    expect((await customer.get<{ items: unknown[] }>('/api/cart')).body.items).toEqual([{ sku, quantity: 1 }])
  })
})
