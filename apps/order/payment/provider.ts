/**
 * What the shop asks of a payment provider, whoever it is. An adapter for a real one is a function that returns this: `charge` and
 * `refund` are its HTTP calls, with the key as its idempotency key; `callbacks` hands out what its webhook route has stored before it
 * answered 200, or what the provider's list of events has.
 */

export interface Charge {
  /** The same key is charged once, however often it is sent. Ours is the order's id. */
  key: string
  amountCents: number
  currency: string
  card: string
}

export interface Answer {
  /** pending: it says later, by a callback. */
  outcome: 'approved' | 'declined' | 'pending'
  /** The provider's name for the charge, which a refund may need. */
  reference: string
}

export interface Refund {
  /** The charge's key. */
  key: string
  amountCents: number
  /** Null when the charge was never answered for: the provider finds it by its key. */
  reference: string | null
}

/** Comes at least once, in any order, and possibly before the answer that announced it. */
export interface PaymentCallback {
  /** A UUID, the same however often it comes. */
  id: string
  key: string
  outcome: 'approved' | 'declined'
  reference: string
  /** Its effect is written down. Without it the callback comes again. */
  ack(): Promise<void>
}

export interface PaymentProvider {
  /**
   * Answers what became of it, the same for the same key for ever. Throws PaymentOutcomeUnknown when no answer came in time:
   * ask again with the same key.
   */
  charge(charge: Charge, signal: AbortSignal): Promise<Answer>
  /**
   * Gives back what was charged under the key, and nothing when nothing was; doing it twice gives it back once. Throws when that is
   * not certain: try again.
   */
  refund(refund: Refund, signal: AbortSignal): Promise<void>
  /** Until the signal is aborted. Throws when they cannot be had now. @param onNone called after each look that found none */
  callbacks(signal: AbortSignal, onNone?: () => void): AsyncIterable<PaymentCallback>
}

/** The provider was not asked: too many calls wait for their turn. Ask again later. */
export class PaymentPostponed extends Error {
  readonly code = 'PAYMENT_POSTPONED'
  override readonly name = 'PaymentPostponed'
}

export class PaymentOutcomeUnknown extends Error {
  readonly code = 'PAYMENT_OUTCOME_UNKNOWN'
  override readonly name = 'PaymentOutcomeUnknown'
}
