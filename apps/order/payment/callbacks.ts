/** Applies the callbacks of the payment provider. */
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Saga } from '../orders/saga.ts'
import type { PaymentProvider } from './provider.ts'

/** Runs until the signal is aborted. A callback is acknowledged last: after a crash it comes again and changes nothing more. */
export function hearCallbacks({ provider, saga }: { provider: PaymentProvider; saga: Saga }) {
  return async (signal: AbortSignal, pulse?: Pulse) => {
    for await (const callback of provider.callbacks(signal, () => pulse?.ok())) {
      await saga.hear(callback)
      await callback.ack()
    }
  }
}
