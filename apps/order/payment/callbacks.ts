/** Hears what the payment provider says of its own accord. */
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Saga } from '../orders/saga.ts'
import type { PaymentProvider } from './provider.ts'

/** Runs until the signal is aborted. Acknowledged comes last: whatever dies before it, the callback comes again and changes nothing more. */
export function hearCallbacks({ provider, saga }: { provider: PaymentProvider; saga: Saga }) {
  return async (signal: AbortSignal, pulse?: Pulse) => {
    for await (const callback of provider.callbacks(signal, () => pulse?.ok())) {
      await saga.hear(callback)
      await callback.ack()
    }
  }
}
