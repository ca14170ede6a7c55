/**
 * The order's half of the saga: stock is reserved -> pay -> confirmed or cancelled. Each step looks at the order as it is and may
 * be repeated: a message that comes twice, late, or after the process died between two steps does no harm.
 */
import type { StockEvent } from '@shop/contracts/events'
import { originIn } from '@shop/service-kit/telemetry/origin'
import type { Answer, PaymentProvider } from '../payment/provider.ts'
import type { InTurn } from '../payment/turns.ts'
import { paymentAnswered, stockGone, stockRejected, stockReserved } from './order.ts'
import type { OrderStore, UpdateOptions } from './store.ts'

interface Dependencies {
  store: OrderStore
  provider: PaymentProvider
  inTurn: InTurn
  /** Without the wait for its turn. */
  paymentTimeoutMs: number
}

/** The inbox' group for what the payment provider says of its own accord. */
const callbackGroup = 'payment-provider'

export function createSaga({ store, provider, inTurn, paymentTimeoutMs }: Dependencies) {
  return { handle, hear }

  /** What the catalog says. */
  async function handle(event: StockEvent): Promise<void> {
    const { id, type, data } = event
    const heard = { cause: { type, id }, origin: originIn(event) }
    if (type === 'stock.reserved') return pay(data.orderId, heard)
    if (type === 'stock.gone') await store.update(data.orderId, stockGone, heard)
    else await store.update(data.orderId, (order) => stockRejected(order, data.reason ?? 'out-of-stock'), heard)
  }

  /** Throws when the provider did not answer or was not asked: the message comes again, and the same key is asked about. */
  async function pay(orderId: string, heard: UpdateOptions): Promise<void> {
    const asked = await store.update(orderId, stockReserved, heard)
    if (asked?.decision.payment?.status !== 'asked') return
    const { totalCents, currency, card } = asked.order
    const charge = { key: orderId, amountCents: totalCents, currency, card }
    const answer = await inTurn(() => provider.charge(charge, AbortSignal.timeout(paymentTimeoutMs)))
    await store.update(orderId, (order) => paymentAnswered(order, answer), { origin: heard.origin })
  }

  /** What the provider says later, and more than once. */
  async function hear({ id, key, ...answer }: Answer & { id: string; key: string }): Promise<void> {
    const cause = { type: 'payment.callback', id }
    await store.update(key, (order) => paymentAnswered(order, answer), { cause, onceIn: callbackGroup })
  }
}

export type Saga = ReturnType<typeof createSaga>
