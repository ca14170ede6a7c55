/** Every way in which the order service says no. */
import { maxCartLines } from '@shop/contracts/cart'
import { PriceChange } from '@shop/contracts/order'
import { defineErrors } from '@shop/service-kit/http/errors'

export const errors = defineErrors({
  cartFull: ['conflict', 'cart-full', `A cart holds at most ${maxCartLines} different products`],
  cartEmpty: ['conflict', 'cart-empty', 'The cart is empty: add a product first'],
  cartOrdered: ['conflict', 'cart-ordered', 'This cart was already ordered; products added since then are still in it'],
  productsGone: [
    'conflict',
    'products-gone',
    (skus: readonly string[]) => `These products are no longer sold: ${skus.join(', ')}`,
  ],
  priceChanged: [
    'conflict',
    'price-changed',
    (totalCents: number) => `The total is now ${totalCents} cents; check it and order again`,
    { members: PriceChange },
  ],
  keyRequired: [
    'invalid',
    'idempotency-key-required',
    'Send an Idempotency-Key header of 1 to 128 visible characters, a new one for each order',
  ],
  inProgress: ['conflict', 'request-in-progress', 'The first request with this Idempotency-Key is still in progress'],
  keyReused: ['unprocessable', 'idempotency-key-reused', 'This Idempotency-Key was used for another request'],
  orderNotFound: ['not-found', 'order-not-found', 'The order does not exist'],
  notCancellable: ['conflict', 'order-not-cancellable', 'This order was confirmed too long ago to be cancelled'],
})
