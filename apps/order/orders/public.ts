/** From rows to what is shown: an order to its buyer, its timeline to administrators. */
import type {
  Actor,
  CancelReason,
  CartReturn,
  Order,
  OrderProgress,
  OrderStatus,
  OrderStep,
  OrderTimeline,
  PaymentStatus,
  RefundStatus,
  TimelineEntry,
} from '@shop/contracts/order'
import { cancellableUntilMs } from './order.ts'
import type { StoredEntry, StoredHistory, StoredOrder } from './row.ts'

/** What its buyer sees of it. `windowMs`: how long a confirmed order can be cancelled. */
export function publicOrder(order: Omit<StoredOrder, 'waitingSince' | 'cartDueAt'>, windowMs: number): Order {
  const status = order.status as OrderStatus
  const untilMs = cancellableUntilMs({ ...order, status }, windowMs)
  return {
    id: order.id,
    status,
    ...(order.cancelReason !== null && { cancelReason: order.cancelReason as CancelReason }),
    items: order.lines.map(({ sku, name, quantity, unitPriceCents }) => ({ sku, name, quantity, unitPriceCents })),
    totalCents: order.totalCents,
    currency: order.currency,
    ...(order.cartReturn !== null && { cartReturn: order.cartReturn as CartReturn }),
    ...(order.refund && { refund: order.refund.status as RefundStatus }),
    ...(untilMs !== undefined && { cancellableUntil: new Date(untilMs).toISOString() }),
    createdAt: order.createdAt.toISOString(),
    updatedAt: order.updatedAt.toISOString(),
  }
}

/** What its buyer sees of a step, as it happens. */
export function publicProgress({ number, at, step, status, detail }: StoredEntry): OrderProgress {
  const { reason } = detail as { reason?: CancelReason }
  return {
    number,
    at: at.toISOString(),
    step: step as OrderStep,
    status: status as OrderStatus,
    ...(reason && { cancelReason: reason }),
  }
}

export function publicTimeline(order: StoredHistory, windowMs: number): OrderTimeline {
  const { userId, payment, refund, timeline } = order
  return {
    order: publicOrder(order, windowMs),
    userId,
    payment: payment && {
      status: payment.status as PaymentStatus,
      attempts: payment.attempts,
      ...(payment.reference !== null && { reference: payment.reference }),
    },
    refund: refund && { status: refund.status as RefundStatus, attempts: refund.attempts },
    items: timeline.map(publicEntry),
  }
}

function publicEntry(entry: StoredEntry): TimelineEntry {
  const { number, at, step, status, by, instance, causeType, causeId, toldType, toldId } = entry
  const { requestId, ...detail } = entry.detail as TimelineEntry['detail']
  return {
    number,
    at: at.toISOString(),
    step: step as OrderStep,
    status: status as OrderStatus,
    by: by as Actor,
    instance,
    ...(causeType !== null && causeId !== null && { cause: { type: causeType, id: causeId } }),
    ...(toldType !== null && toldId !== null && { told: { type: toldType, id: toldId } }),
    ...(requestId !== undefined && { requestId: String(requestId) }),
    detail,
  }
}
