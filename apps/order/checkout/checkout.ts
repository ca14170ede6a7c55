/**
 * From cart to order, once per key. Redis lets one request through at a time and repeats its answer; it is the fast path. What was done
 * is known to Postgres, whose record of the key is looked at first, since Redis may have forgotten it, and once more when something
 * has failed: another process may have taken over from a slow one, or the answer to the commit was lost.
 */
import { createHash } from 'node:crypto'
import type { Checkout, PriceChange } from '@shop/contracts/order'
import type { Quote } from '@shop/contracts/product'
import { fingerprint, type Idempotency } from '@shop/redis-kit/idempotency'
import type { Origin } from '@shop/service-kit/telemetry/origin'
import type { Carts, TakenLines } from '../cart/cart.ts'
import { errors } from '../errors.ts'
import { price } from './price.ts'
import type { CheckoutStore, NewOrder, RequestKey } from './store.ts'

export interface CheckoutRequest {
  userId: string
  owner: string
  key: string
  body: Checkout
  /** Today's prices, asked in the name of this request. */
  quote: (skus: readonly string[]) => Promise<Quote>
  origin: Origin
}

export interface CheckoutAnswer {
  status: number
  body: string
  isReplay: boolean
}

interface Dependencies {
  carts: Carts
  claims: Pick<Idempotency, 'begin'>
  store: CheckoutStore
  /** Told when something could not be tidied up after an order was placed or refused; that stands, and is done later or expires. */
  onLeft: (error: unknown, what: 'the cart' | 'the claim') => void
}

const [method, path] = ['POST', '/api/orders'] as const

export function createCheckout({ carts, claims, store, onLeft }: Dependencies) {
  return { placeOrder }

  /** Throws `request-in-progress`, `idempotency-key-reused` or an error of the cart; then nothing is written and the key is free. */
  async function placeOrder(request: CheckoutRequest): Promise<CheckoutAnswer> {
    const { userId, key, body } = request
    const print = fingerprint(method, path, body)
    const claim = await claims.begin({ tenant: userId, route: `${method} ${path}`, key, fingerprint: print })
    if (claim.status === 'mismatch') throw errors.keyReused()
    if (claim.status === 'in-progress') throw errors.inProgress({ retryAfterMs: claim.retryAfterMs })
    if (claim.status === 'replay') {
      return { status: claim.response.status, body: claim.response.body.toString(), isReplay: true }
    }
    try {
      const answer = await placeOnce({ userId, keyHash: digest(key), fingerprint: print }, request)
      await claim.complete(answer).catch((error) => onLeft(error, 'the claim'))
      return answer
    } catch (error) {
      // Refused, or unknown to us but not to Postgres: either way whoever repeats it may begin at once.
      await claim.release().catch((failure) => onLeft(failure, 'the claim'))
      throw error
    }
  }

  async function placeOnce(key: RequestKey, request: CheckoutRequest): Promise<CheckoutAnswer> {
    const before = await replay(key, request.owner)
    if (before) return before
    try {
      return await placeNew(key, request)
    } catch (error) {
      const meanwhile = await replay(key, request.owner)
      if (meanwhile) return meanwhile
      throw error
    }
  }

  /** The answer this key got before; throws `idempotency-key-reused` when the request was another one. */
  async function replay(key: RequestKey, owner: string): Promise<CheckoutAnswer | undefined> {
    const record = await store.recorded(key)
    if (!record) return undefined
    if (record.fingerprint !== key.fingerprint) throw errors.keyReused()
    await takeOrdered(owner, record.cartId) // the process that placed it may have died before
    return { status: record.status, body: record.body, isReplay: true }
  }

  async function placeNew(key: RequestKey, request: CheckoutRequest): Promise<CheckoutAnswer> {
    const { userId, owner, body, quote, origin } = request
    const cart = await carts.contents(owner)
    if (cart.id === undefined || cart.lines.length === 0) throw errors.cartEmpty()
    const priced = price(cart.lines, await quote(cart.lines.map(({ sku }) => sku)))
    if (priced.status === 'products-gone') throw errors.productsGone(priced.skus)
    const { status: _, ...prices } = priced
    if (body.expectedTotalCents !== undefined && body.expectedTotalCents !== prices.totalCents) {
      throw errors.priceChanged(prices.totalCents, { extensions: prices satisfies PriceChange })
    }
    const order: NewOrder = { userId, cartId: cart.id, card: body.payment.card, ...prices }
    const placed = await store.place(key, order, origin)
    if (placed === 'cart-taken') await takeOrdered(owner, cart.id)
    if (typeof placed === 'string') throw errors.cartOrdered()
    await take(owner, { cartId: cart.id, lines: prices.items })
    return { status: placed.status, body: placed.body, isReplay: false }
  }

  /** The lines of the order that this cart has become: another request's, perhaps. */
  async function takeOrdered(owner: string, cartId: string): Promise<void> {
    await take(owner, { cartId, lines: await store.linesOfCart(cartId) })
  }

  /** Not done, it is done a little later, see settling.ts: the order stands. */
  function take(owner: string, ordered: TakenLines): Promise<void> {
    return carts.take(owner, ordered).catch((error) => onLeft(error, 'the cart'))
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

export type PlaceOrder = ReturnType<typeof createCheckout>['placeOrder']
