/**
 * What an order may become: the rules, pure. Each takes the order as it is and answers what is to be written; the store does that in
 * one transaction, while nobody else changes the order. Words that come twice, late or in another order change nothing more.
 */
import type {
  Actor,
  CancelReason,
  CartReturn,
  OrderStatus,
  OrderStep,
  PaymentStatus,
  RefundStatus,
} from '@shop/contracts/order'
import type { Answer } from '../payment/provider.ts'

export interface OrderState {
  status: OrderStatus
  /** Stays when a confirmed order is cancelled. */
  confirmedAt: Date | null
  payment: PaymentState | null
  refund: { status: RefundStatus; round: number } | null
  cartReturn: CartReturn | null
}

export interface PaymentState {
  status: PaymentStatus
  /** How often the provider was asked. */
  attempts: number
  reference?: string | null
}

export interface Step {
  step: OrderStep
  by: Actor
  detail?: Record<string, string | number | boolean>
}

/** What is to be written; everything or nothing of it. */
export interface Decision {
  status?: OrderStatus
  cancelReason?: CancelReason
  payment?: PaymentState
  refund?: RefundStatus
  /** due: its lines are to go back into the cart. */
  cartReturn?: CartReturn
  /** For the timeline; a decision without steps changes nothing. */
  steps: readonly Step[]
  /** What the other services are told. */
  tell?: 'order.confirmed' | 'order.cancelled'
}

const unchanged: Decision = { steps: [] }

/**
 * Payment is to be asked, unless the provider has said that it will call. It may be asked again: the key is the same. Of an order that
 * was cancelled while nobody knew the answer the money goes back once more: the charge may have come after the first refund.
 */
export function stockReserved({ status, payment, refund }: OrderState): Decision {
  if (status === 'cancelled') return payment?.status === 'asked' ? refundAgain(refund) : unchanged
  if (status === 'confirmed' || payment?.status === 'pending') return unchanged
  const attempts = (payment?.attempts ?? 0) + 1
  const asked: Step = { step: 'payment-asked', by: 'system', detail: { attempts } }
  return {
    status: 'reserved',
    payment: { status: 'asked', attempts },
    steps: status === 'pending' ? [{ step: 'reserved', by: 'catalog' }, asked] : [asked],
  }
}

/** There is too little, or nobody paid in time. To an order that is confirmed it means nothing: the catalog takes the pieces again. */
export function stockRejected(order: OrderState, reason: 'out-of-stock' | 'reservation-expired'): Decision {
  if (order.status !== 'pending' && order.status !== 'reserved') return unchanged
  return cancelled(order, reason, 'catalog')
}

/** The pieces of a confirmed order are gone, because its reservation had expired. */
export function stockGone(order: OrderState): Decision {
  return order.status === 'confirmed' ? cancelled(order, 'reservation-expired', 'catalog') : unchanged
}

/** What the provider says, at once or later. Nobody pays for what is not sent: the money for a cancelled order goes back. */
export function paymentAnswered(order: OrderState, { outcome, reference }: Answer): Decision {
  const known = order.payment?.status
  if (order.status === 'pending' || order.status === 'confirmed') return unchanged
  if (known === 'approved' || known === 'declined' || known === outcome) return unchanged
  const payment = { status: outcome, attempts: order.payment?.attempts ?? 1, reference }
  const answer: Step = { step: `payment-${outcome}`, by: 'payment-provider' }
  if (order.status === 'cancelled') {
    const { steps, ...refund } = outcome === 'declined' ? unchanged : refundAgain(order.refund)
    return { payment, ...refund, steps: [answer, ...steps] }
  }
  if (outcome === 'pending') return { payment, steps: [answer] }
  if (outcome === 'approved') {
    const steps: Step[] = [answer, { step: 'confirmed', by: 'payment-provider' }]
    return { status: 'confirmed', payment, steps, tell: 'order.confirmed' }
  }
  const { steps, ...rest } = cancelled({ ...order, payment }, 'payment-declined', 'payment-provider')
  return { ...rest, payment, steps: [answer, ...steps] }
}

/** Its deadline is over, and whoever should have brought it to an end did not. What it was paid meanwhile goes back, as at every end. */
export function timedOut(order: OrderState): Decision {
  return order.status === 'pending' || order.status === 'reserved' ? cancelled(order, 'timed-out', 'system') : unchanged
}

/** Until it is confirmed and for a while after; an order that is off already stays so. */
export function cancelByCustomer(
  order: OrderState,
  { nowMs, windowMs }: { nowMs: number; windowMs: number },
): Decision {
  if (order.status === 'cancelled') return unchanged
  const untilMs = cancellableUntilMs(order, windowMs)
  return untilMs === undefined || nowMs < untilMs ? cancelled(order, 'by-customer', 'customer') : unchanged
}

/** Undefined for an order that is not confirmed. */
export function cancellableUntilMs(
  { status, confirmedAt }: Pick<OrderState, 'status' | 'confirmedAt'>,
  windowMs: number,
) {
  return status === 'confirmed' && confirmedAt ? confirmedAt.getTime() + windowMs : undefined
}

/** The provider has given the money back, in the round of this number: if it became due again since, it still is. */
export function refunded({ refund }: OrderState, round: number): Decision {
  if (refund?.status !== 'due' || refund.round !== round) return unchanged
  return { refund: 'done', steps: [{ step: 'refunded', by: 'payment-provider' }] }
}

/** Its lines are in the cart again, or had no room there. */
export function linesReturned({ cartReturn }: OrderState, outcome: 'done' | 'no-room'): Decision {
  if (cartReturn !== 'due') return unchanged
  return { cartReturn: outcome, steps: [{ step: 'lines-returned', by: 'system', detail: { outcome } }] }
}

/** What the customer did not call off herself goes back into her cart: she still wants it, and may pay otherwise or leave something out. */
function cancelled(order: OrderState, cancelReason: CancelReason, by: Actor): Decision {
  const off: Decision = {
    status: 'cancelled',
    cancelReason,
    ...(by !== 'customer' && { cartReturn: 'due' }),
    steps: [{ step: 'cancelled', by, detail: { reason: cancelReason } }],
    tell: 'order.cancelled',
  }
  if (!mayBeCharged(order.payment)) return off
  return { ...off, refund: 'due', steps: [...off.steps, ...refundAgain(order.refund).steps] }
}

/** Due, also when it was done before: what was charged after that is not back yet. */
function refundAgain(before: OrderState['refund']): Decision {
  const round = (before?.round ?? 0) + 1
  return { refund: 'due', steps: [{ step: 'refund-due', by: 'system', detail: { round } }] }
}

/** From the moment it is about to be asked: what was sent cannot be called back. */
function mayBeCharged(payment: PaymentState | null): boolean {
  return payment !== null && payment.status !== 'declined'
}
