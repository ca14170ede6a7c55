/** Orders as their buyer sees them. */
import { type Static, Type } from 'typebox'
import { Sku } from './product.ts'

/**
 * pending: placed, stock not yet reserved · reserved: stock is ours, payment is asked · confirmed: paid ·
 * cancelled: by the buyer (for a while also after it was paid), for want of stock, because it was not paid, or at its deadline.
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
  /** Nobody paid in time, or the payment came when the pieces were gone: then it is given back. */
  Type.Literal('reservation-expired'),
  Type.Literal('payment-declined'),
  Type.Literal('by-customer'),
  /** What it waited for never came, and nobody else has ended it: the shop did, at its deadline. */
  Type.Literal('timed-out'),
])
export type CancelReason = Static<typeof CancelReason>

/** due: it will be given back, however often that has to be tried · done: it was. */
export const RefundStatus = Type.Union([Type.Literal('due'), Type.Literal('done')])
export type RefundStatus = Static<typeof RefundStatus>

/**
 * What becomes of the lines of an order that is off, unless the buyer has cancelled it. due: they go back into the cart · done: they are
 * there again, or wait there for room (`waitingItems`) · no-room: too much waits already; the order still says what they are.
 */
export const CartReturn = Type.Union([Type.Literal('due'), Type.Literal('done'), Type.Literal('no-room')])
export type CartReturn = Static<typeof CartReturn>

const Time = Type.String({ format: 'date-time' })

export const OrderLine = Type.Object(
  {
    sku: Sku,
    name: Type.String(),
    quantity: Type.Integer(),
    unitPriceCents: Type.Integer(),
  },
  { description: 'One product of an order, with its price at the time of the order' },
)
export type OrderLine = Static<typeof OrderLine>

export const Order = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    status: OrderStatus,
    cancelReason: Type.Optional(CancelReason),
    items: Type.Array(OrderLine),
    totalCents: Type.Integer(),
    currency: Type.String(),
    /** What becomes of the money of an order that is off. Absent when none was taken. */
    refund: Type.Optional(RefundStatus),
    /** Absent unless its lines go back into the cart. */
    cartReturn: Type.Optional(CartReturn),
    /** A confirmed order can be cancelled until then. */
    cancellableUntil: Type.Optional(Time),
    createdAt: Time,
    updatedAt: Time,
  },
  { description: 'The order' },
)
export type Order = Static<typeof Order>

/**
 * The simulated payment provider knows four cards: one is accepted, one declined, one times out first and is accepted on a retry,
 * and of one it says only later, and twice, that it is accepted.
 */
export const Card = Type.Union([
  Type.Literal('approve'),
  Type.Literal('decline'),
  Type.Literal('timeout'),
  Type.Literal('callback'),
])
export type Card = Static<typeof Card>

export const Checkout = Type.Object(
  {
    payment: Type.Object({ card: Card }, { additionalProperties: false }),
    /** What the buyer saw. When the server's total differs the order is refused with `price-changed`. */
    expectedTotalCents: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  {
    additionalProperties: false,
    description: 'The payment for the cart',
    examples: [{ payment: { card: 'approve' } }],
  },
)
export type Checkout = Static<typeof Checkout>

/** One to 128 visible ASCII characters: a UUID is the usual choice (draft-ietf-httpapi-idempotency-key-header). */
export const IdempotencyKey = Type.String({
  pattern: '^[\\x21-\\x7e]{1,128}$',
  description: 'Identifies this order. Use a new key for each order; a repeated key returns the same order.',
  examples: ['my-first-order'],
})

export const OrderQuery = Type.Object(
  {
    status: Type.Optional(OrderStatus),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    cursor: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false },
)
export type OrderQuery = Static<typeof OrderQuery>

export const OrderPage = Type.Object(
  {
    items: Type.Array(Order),
    nextCursor: Type.Union([Type.String(), Type.Null()]),
  },
  { description: 'A page of orders, newest first' },
)
export type OrderPage = Static<typeof OrderPage>

/** What a `price-changed` answer has besides a problem's fields: what the cart costs now, to be shown before ordering again. */
export const PriceChange = Type.Object({
  items: Type.Array(OrderLine),
  totalCents: Type.Integer(),
  currency: Type.String(),
})
export type PriceChange = Static<typeof PriceChange>

/** What may happen to an order, one entry of its timeline each. */
export const OrderStep = Type.Union([
  Type.Literal('placed'),
  Type.Literal('reserved'),
  Type.Literal('payment-asked'),
  /** The provider will say later. */
  Type.Literal('payment-pending'),
  Type.Literal('payment-approved'),
  Type.Literal('payment-declined'),
  Type.Literal('confirmed'),
  Type.Literal('cancelled'),
  Type.Literal('refund-due'),
  Type.Literal('refunded'),
  Type.Literal('lines-returned'),
])
export type OrderStep = Static<typeof OrderStep>

const progress = {
  /** 1, 2, 3 … without a gap. */
  number: Type.Integer({ minimum: 1 }),
  at: Time,
  step: OrderStep,
  /** The order's, from this step on. */
  status: OrderStatus,
}

/** `GET /api/orders/:id/events`: the data of one server-sent event, whose id is `number`. */
export const OrderProgress = Type.Object({ ...progress, cancelReason: Type.Optional(CancelReason) })
export type OrderProgress = Static<typeof OrderProgress>

/** Who made a step happen. */
export const Actor = Type.Union([
  Type.Literal('customer'),
  Type.Literal('catalog'),
  Type.Literal('payment-provider'),
  Type.Literal('system'),
])
export type Actor = Static<typeof Actor>

const EventName = Type.Object({ type: Type.String(), id: Type.String() })

export const TimelineEntry = Type.Object({
  ...progress,
  by: Actor,
  /** The instance of the order service that wrote it down. */
  instance: Type.String(),
  /** What was heard: an event, or a payment provider's callback. */
  cause: Type.Optional(EventName),
  /** What the other services were told. */
  told: Type.Optional(EventName),
  /** The request that it goes back to: of what nobody asked for, such as a callback or a deadline, the one before it. */
  requestId: Type.Optional(Type.String()),
  detail: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
})
export type TimelineEntry = Static<typeof TimelineEntry>

/** asked: no answer yet · pending: it will say later · approved, declined: its word. */
export const PaymentStatus = Type.Union([
  Type.Literal('asked'),
  Type.Literal('pending'),
  Type.Literal('approved'),
  Type.Literal('declined'),
])
export type PaymentStatus = Static<typeof PaymentStatus>

/** `GET /api/orders/:id/timeline`, for administrators: all that is known of how an order came to be what it is. */
export const OrderTimeline = Type.Object(
  {
    order: Order,
    userId: Type.String({ format: 'uuid' }),
    payment: Type.Union([
      Type.Object({ status: PaymentStatus, attempts: Type.Integer(), reference: Type.Optional(Type.String()) }),
      Type.Null(),
    ]),
    refund: Type.Union([Type.Object({ status: RefundStatus, attempts: Type.Integer() }), Type.Null()]),
    items: Type.Array(TimelineEntry),
  },
  { description: 'The order and every step that led to its state' },
)
export type OrderTimeline = Static<typeof OrderTimeline>
