/**
 * From cart to order, once. The key's record in Postgres is looked at first and, because requests with the same key may
 * overtake each other anywhere in between, again before anything is refused.
 */
import type { Checkout, PriceChange } from '@shop/contracts/order'
import type { Quote } from '@shop/contracts/product'
import type { Carts } from '../cart/cart.ts'
import { errors } from '../errors.ts'
import { digest, fingerprint } from './fingerprint.ts'
import { price } from './price.ts'
import type { CheckoutStore, NewOrder, Recorded, RequestKey } from './store.ts'

export interface CheckoutRequest {
  userId: string
  owner: string
  key: string
  body: Checkout
  /** Today's prices, asked in the name of this request. */
  quote: (skus: readonly string[]) => Promise<Quote>
}

export type CheckoutAnswer = Recorded & { isReplay: boolean }

interface Dependencies {
  carts: Carts
  store: CheckoutStore
  /** Told when emptying the cart failed after its order was placed; the order stands. */
  onCartLeft: (error: unknown) => void
}

export function createCheckout({ carts, store, onCartLeft }: Dependencies) {
  return { placeOrder }

  async function placeOrder(request: CheckoutRequest): Promise<CheckoutAnswer> {
    const key: RequestKey = {
      userId: request.userId,
      keyHash: digest(request.key),
      fingerprint: fingerprint('POST', '/api/orders', request.body),
    }
    const before = await replay(key)
    if (before) return before
    try {
      return await placeNew(key, request)
    } catch (error) {
      const meanwhile = await replay(key)
      if (meanwhile) return meanwhile
      throw error
    }
  }

  /** The answer this key got before; throws `idempotency-key-reused` when the request was another one. */
  async function replay(key: RequestKey): Promise<CheckoutAnswer | undefined> {
    const record = await store.recorded(key)
    if (!record) return undefined
    if (record.fingerprint !== key.fingerprint) throw errors.keyReused()
    return { ...record, isReplay: true }
  }

  async function placeNew(key: RequestKey, { userId, owner, body, quote }: CheckoutRequest): Promise<CheckoutAnswer> {
    const cart = await carts.contents(owner)
    if (cart.id === undefined || cart.lines.length === 0) throw errors.cartEmpty()
    const priced = price(cart.lines, await quote(cart.lines.map(({ sku }) => sku)))
    if (priced.status === 'products-gone') throw errors.productsGone(priced.skus)
    const { status: _, ...prices } = priced
    if (body.expectedTotalCents !== undefined && body.expectedTotalCents !== prices.totalCents) {
      throw errors.priceChanged(prices.totalCents, { extensions: prices satisfies PriceChange })
    }
    const order: NewOrder = { userId, cartId: cart.id, card: body.payment.card, ...prices }
    const placed = await store.place(key, order)
    if (placed === 'taken') throw errors.cartOrdered()
    await carts.clear(owner, cart.id).catch(onCartLeft)
    return { ...placed, isReplay: false }
  }
}

export type PlaceOrder = ReturnType<typeof createCheckout>['placeOrder']
