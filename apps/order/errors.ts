/** Every way in which the order service says no. */
import { maxCartLines } from '@shop/contracts/cart'
import { PriceChange } from '@shop/contracts/order'
import { defineErrors } from '@shop/service-kit/http/errors'

export const errors = defineErrors({
  cartFull: ['conflict', 'cart-full', `A cart holds at most ${maxCartLines} different products`],
  cartEmpty: ['conflict', 'cart-empty', 'There is nothing in the cart to order'],
  cartOrdered: [
    'conflict',
    'cart-ordered',
    'This cart has become an order already; what was added since is still in it',
  ],
  productsGone: [
    'conflict',
    'products-gone',
    (skus: readonly string[]) => `These products are not sold any more: ${skus.join(', ')}`,
  ],
  priceChanged: [
    'conflict',
    'price-changed',
    (totalCents: number) => `The total is ${totalCents} cents now; look at it and order again`,
    { members: PriceChange },
  ],
  keyRequired: [
    'invalid',
    'idempotency-key-required',
    'Send an Idempotency-Key header of 1 to 128 visible characters, a new one for each order',
  ],
  inProgress: ['conflict', 'request-in-progress', 'The first request with this Idempotency-Key is not answered yet'],
  keyReused: ['unprocessable', 'idempotency-key-reused', 'This Idempotency-Key was used for another request'],
  orderNotFound: ['not-found', 'order-not-found', 'There is no such order'],
  notCancellable: ['conflict', 'order-not-cancellable', 'This order was confirmed too long ago to be cancelled'],
})
