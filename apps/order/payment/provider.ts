/** What the shop asks of a payment provider, whoever it is. */

export interface Charge {
  /** The same key is charged once, however often it is sent. Ours is the order's id. */
  key: string
  amountCents: number
  card: string
}

export interface PaymentProvider {
  /**
   * Answers what became of it, the same for the same key for ever. Throws PaymentOutcomeUnknown when no answer came in time:
   * ask again with the same key.
   */
  charge(charge: Charge, signal: AbortSignal): Promise<'approved' | 'declined'>
  /** Gives back what was charged under the key; doing it twice gives it back once. */
  refund(key: string, signal: AbortSignal): Promise<void>
}

export class PaymentOutcomeUnknown extends Error {
  readonly code = 'PAYMENT_OUTCOME_UNKNOWN'
  override readonly name = 'PaymentOutcomeUnknown'
}
