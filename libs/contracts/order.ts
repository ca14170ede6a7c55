/** Orders as their buyer sees them. */
import { type Static, Type } from 'typebox'
import { Sku } from './product.ts'

/**
 * pending: placed, stock not yet reserved · reserved: stock is ours, payment is asked ·
 * confirmed: paid · cancelled: by the buyer, for want of stock, or because the payment was declined.
 */
export const OrderStatus = Type.Union([
  Type.Literal('pending'),
  Type.Literal('reserved'),
  Type.Literal('confirmed'),
  Type.Literal('cancelled'),
])
export type OrderStatus = Static<typeof OrderStatus>

export const CancelReason = Type.Union([
  Type.Literal('out-of-stock'),
  Type.Literal('payment-declined'),
  Type.Literal('payment-failed'),
  Type.Literal('by-customer'),
])
export type CancelReason = Static<typeof CancelReason>

export const OrderLine = Type.Object({
  sku: Sku,
  name: Type.String(),
  quantity: Type.Integer(),
  unitPriceCents: Type.Integer(),
})
export type OrderLine = Static<typeof OrderLine>

export const Order = Type.Object({
  id: Type.String({ format: 'uuid' }),
  status: OrderStatus,
  cancelReason: Type.Optional(CancelReason),
  items: Type.Array(OrderLine),
  totalCents: Type.Integer(),
  currency: Type.String(),
  createdAt: Type.String({ format: 'date-time' }),
  updatedAt: Type.String({ format: 'date-time' }),
})
export type Order = Static<typeof Order>

/** The simulated payment provider knows three cards: one is accepted, one declined, one times out first and is accepted on a retry. */
export const Card = Type.Union([Type.Literal('approve'), Type.Literal('decline'), Type.Literal('timeout')])
export type Card = Static<typeof Card>

export const Checkout = Type.Object(
  {
    payment: Type.Object({ card: Card }, { additionalProperties: false }),
    /** What the buyer saw. When the server's total differs the order is refused with `price-changed`. */
    expectedTotalCents: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
)
export type Checkout = Static<typeof Checkout>

/** One to 128 visible ASCII characters: a UUID is the usual choice (draft-ietf-httpapi-idempotency-key-header). */
export const IdempotencyKey = Type.String({ pattern: '^[\\x21-\\x7e]{1,128}$' })

export const OrderQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    cursor: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false },
)
export type OrderQuery = Static<typeof OrderQuery>

export const OrderPage = Type.Object({
  items: Type.Array(Order),
  nextCursor: Type.Union([Type.String(), Type.Null()]),
})
export type OrderPage = Static<typeof OrderPage>
