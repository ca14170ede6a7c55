/**
 * The order's half of the saga: stock is reserved -> pay -> confirmed or cancelled. Each step looks at the order as it is and may
 * be repeated: a message that comes twice, late, or after the process died between two steps does no harm.
 */
import type { StockEvent } from '@shop/contracts/events'
import type { PaymentProvider } from '../payment/provider.ts'
import type { OrderStore } from './store.ts'

interface Dependencies {
  store: OrderStore
  provider: PaymentProvider
  paymentTimeoutMs: number
}

export function createSaga({ store, provider, paymentTimeoutMs }: Dependencies) {
  return { handle }

  async function handle(event: StockEvent): Promise<void> {
    if (event.type === 'stock.rejected') {
      await store.cancel(event.data.orderId, 'out-of-stock')
      return
    }
    await pay(event.data.orderId)
  }

  /** Throws when the provider did not answer: the message comes again, and the same key is asked about. */
  async function pay(orderId: string): Promise<void> {
    await store.reserve(orderId)
    const order = await store.find(orderId)
    if (order?.status === 'cancelled') return refund(orderId)
    if (order?.status !== 'reserved') return
    const charge = { key: orderId, amountCents: order.totalCents, card: order.card }
    const outcome = await provider.charge(charge, AbortSignal.timeout(paymentTimeoutMs))
    if (outcome === 'declined') await store.cancel(orderId, 'payment-declined')
    // Cancelled while the provider was asked: nobody pays for what is not sent.
    else if ((await store.confirm(orderId)) === 'unchanged') await pay(orderId)
  }

  /** Of an order that is off, whether it was charged or not: the provider knows. */
  function refund(orderId: string): Promise<void> {
    return provider.refund(orderId, AbortSignal.timeout(paymentTimeoutMs))
  }
}

export type Saga = ReturnType<typeof createSaga>
