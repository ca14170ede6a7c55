/** From rows to what is shown: an order to its buyer, its timeline to administrators. */
import {
  CancelReason,
  type Order,
  type OrderProgress,
  type OrderTimeline,
  type TimelineEntry,
} from '@shop/contracts/order'
import { cancellableUntilMs } from './order.ts'
import { type StoredEntry, type StoredHistory, type StoredOrder, wordOf } from './row.ts'

/** What its buyer sees of it. `windowMs`: how long a confirmed order can be cancelled. */
export function publicOrder(order: Omit<StoredOrder, 'waitingSince' | 'cartDueAt'>, windowMs: number): Order {
  const untilMs = cancellableUntilMs(order, windowMs)
  return {
    id: order.id,
    status: order.status,
    ...(order.cancelReason !== null && { cancelReason: order.cancelReason }),
    items: order.lines.map(({ sku, name, quantity, unitPriceCents }) => ({ sku, name, quantity, unitPriceCents })),
    totalCents: order.totalCents,
    currency: order.currency,
    ...(order.cartReturn !== null && { cartReturn: order.cartReturn }),
    ...(order.refund && { refund: order.refund.status }),
    ...(untilMs !== undefined && { cancellableUntil: new Date(untilMs).toISOString() }),
    createdAt: order.createdAt.toISOString(),
    updatedAt: order.updatedAt.toISOString(),
  }
}

/** What its buyer sees of a step, as it happens. */
export function publicProgress({ number, at, step, status, detail }: StoredEntry): OrderProgress {
  return {
    number,
    at: at.toISOString(),
    step,
    status,
    ...(detail.reason !== undefined && { cancelReason: wordOf(CancelReason, detail.reason) }),
  }
}

export function publicTimeline(order: StoredHistory, windowMs: number): OrderTimeline {
  const { userId, payment, refund, timeline } = order
  return {
    order: publicOrder(order, windowMs),
    userId,
    payment: payment && {
      status: payment.status,
      attempts: payment.attempts,
      ...(payment.reference !== null && { reference: payment.reference }),
    },
    refund: refund && { status: refund.status, attempts: refund.attempts },
    items: timeline.map(publicEntry),
  }
}

function publicEntry(entry: StoredEntry): TimelineEntry {
  const { number, at, step, status, by, instance, causeType, causeId, toldType, toldId } = entry
  const { requestId, ...detail } = entry.detail
  return {
    number,
    at: at.toISOString(),
    step,
    status,
    by,
    instance,
    ...(causeType !== null && causeId !== null && { cause: { type: causeType, id: causeId } }),
    ...(toldType !== null && toldId !== null && { told: { type: toldType, id: toldId } }),
    ...(requestId !== undefined && { requestId: String(requestId) }),
    detail,
  }
}
