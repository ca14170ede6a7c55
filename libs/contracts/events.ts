/**
 * What services tell each other on the streams. An event is a fact in the past tense, carries all that its listeners need,
 * and is identified by `id`: whoever has seen that id has seen the event.
 *
 * Services are upgraded one after another, so a reader meets events of a newer release: every object of an event is `open`.
 */
import { type Static, Type } from 'typebox'
import { CancelReason } from './order.ts'
import { Sku } from './product.ts'

const Uuid = Type.String({ format: 'uuid' })
/** Fields that this release does not know are ignored. */
const open = { additionalProperties: true }
const Lines = Type.Array(Type.Object({ sku: Sku, quantity: Type.Integer({ minimum: 1 }) }, open), { minItems: 1 })

/** The request that it goes back to, and its trace context (W3C traceparent). Absent where nobody asked. */
const origin = { requestId: Type.Optional(Type.String()), traceparent: Type.Optional(Type.String()) }

const event = <Name extends string, Data extends Parameters<typeof Type.Object>[0]>(type: Name, data: Data) =>
  Type.Object(
    {
      id: Uuid,
      type: Type.Literal(type),
      occurredAtMs: Type.Integer(),
      ...origin,
      data: Type.Object(data, open),
    },
    open,
  )

/** Topic `order:events`, keyed by order id. */
export const OrderPlaced = event('order.placed', {
  orderId: Uuid,
  userId: Uuid,
  items: Lines,
  totalCents: Type.Integer(),
})
export const OrderConfirmed = event('order.confirmed', {
  orderId: Uuid,
  userId: Uuid,
  items: Lines,
  totalCents: Type.Integer(),
})
export const OrderCancelled = event('order.cancelled', {
  orderId: Uuid,
  userId: Uuid,
  reason: CancelReason,
  /** It was confirmed before: what is sold comes back, whichever of the two events is heard first. */
  wasConfirmed: Type.Optional(Type.Boolean()),
  items: Type.Optional(Lines),
  totalCents: Type.Optional(Type.Integer()),
})
export const OrderEvent = Type.Union([OrderPlaced, OrderConfirmed, OrderCancelled])
export type OrderPlaced = Static<typeof OrderPlaced>
export type OrderConfirmed = Static<typeof OrderConfirmed>
export type OrderCancelled = Static<typeof OrderCancelled>
export type OrderEvent = Static<typeof OrderEvent>

/** Topic `catalog:stock`, keyed by order id. */
export const StockReserved = event('stock.reserved', { orderId: Uuid })
export const StockRejected = event('stock.rejected', {
  orderId: Uuid,
  skus: Type.Array(Sku),
  /** Absent: out of stock. */
  reason: Type.Optional(Type.Union([Type.Literal('out-of-stock'), Type.Literal('reservation-expired')])),
})
/** The order is confirmed, but its reservation had expired before that was heard, and the pieces are gone. */
export const StockGone = event('stock.gone', { orderId: Uuid, skus: Type.Array(Sku) })
export const StockEvent = Type.Union([StockReserved, StockRejected, StockGone])
export type StockReserved = Static<typeof StockReserved>
export type StockRejected = Static<typeof StockRejected>
export type StockGone = Static<typeof StockGone>
export type StockEvent = Static<typeof StockEvent>

/** Topic `catalog:products`: what was shown of these products is old. In no particular order. */
export const ProductChanged = event('product.changed', {
  skus: Type.Array(Sku, { minItems: 1 }),
  /** Products came, or moved to another category: the numbers of products per category are old too. */
  areCountsChanged: Type.Boolean(),
})
export const ProductRemoved = event('product.removed', { skus: Type.Array(Sku, { minItems: 1 }) })
export const ProductEvent = Type.Union([ProductChanged, ProductRemoved])
export type ProductChanged = Static<typeof ProductChanged>
export type ProductRemoved = Static<typeof ProductRemoved>
export type ProductEvent = Static<typeof ProductEvent>
