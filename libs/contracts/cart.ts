/** The cart: skus and counts. Prices are the catalog's and are shown, never taken from the client. */
import { type Static, Type } from 'typebox'
import { Sku } from './product.ts'

export const maxCartLines = 50
export const maxLineQuantity = 99

export const CartItemInput = Type.Object(
  { quantity: Type.Integer({ minimum: 1, maximum: maxLineQuantity }) },
  {
    additionalProperties: false,
    description: 'The new quantity of the product in the cart',
    examples: [{ quantity: 1 }],
  },
)
export type CartItemInput = Static<typeof CartItemInput>

export const CartLine = Type.Object({ sku: Sku, quantity: Type.Integer() }, { description: 'One product in the cart' })
export type CartLine = Static<typeof CartLine>

export const Cart = Type.Object(
  {
    items: Type.Array(CartLine),
    /**
     * What has no room: from before signing in, or from an order that came to nothing. It comes in by itself when there is room, and is not
     * ordered before. Absent when nothing waits.
     */
    waitingItems: Type.Optional(Type.Array(CartLine)),
  },
  { description: 'The cart' },
)
export type Cart = Static<typeof Cart>
