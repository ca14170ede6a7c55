/** Gives back what was reserved for orders that nobody paid. */
import { every } from '@shop/redis-kit/flow/every'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import { isDependencyOutage } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import { expire } from './stock.ts'
import type { StockStore } from './store.ts'

interface Dependencies {
  stock: StockStore
  /** Called after each commit, with the products whose stock has changed. Must not reject. */
  forget(skus: readonly string[]): Promise<void>
  /** Pause between two looks. */
  sweepMs: number
  log: Log
}

const batchSize = 100

/** Every instance may run it: an order that another one works on is passed over, and one that is done is found done. */
export function expireReservations({ stock, forget, sweepMs, log }: Dependencies) {
  return (signal: AbortSignal, pulse?: Pulse) => {
    return every(sweepMs, { signal }, async () => {
      let failedCount = 0
      const onFailed = (error: unknown, orderId: string) => {
        failedCount += 1
        pulse?.failed(error, 'orders')
        log.error({ err: error, orderId }, 'reservation expiry postponed')
      }
      const expiredCount = await sweep({ stock, forget, onFailed }, signal)
      pulse?.ok(failedCount === 0 ? 'orders' : undefined)
      if (expiredCount > 0) log.info({ expiredCount }, 'reservations expired')
      return expiredCount < batchSize ? 'done' : 'more'
    })
  }
}

interface Sweep extends Pick<Dependencies, 'stock' | 'forget'> {
  /** Called for each order whose reservation could not be given back. @default ignored */
  onFailed?: (error: unknown, orderId: string) => void
}

/**
 * One batch, a transaction per order: none holds more locks than one order needs. Returns how many orders lost their reservation. An
 * order that fails holds up no other; an outage ends the sweep.
 */
export async function sweep({ stock, forget, onFailed }: Sweep, signal?: AbortSignal) {
  let expiredCount = 0
  for (const orderId of await stock.expiredOrders(batchSize)) {
    if (signal?.aborted) break
    try {
      const { skus } = await stock.updateIfIdle({ orderId, rule: expire })
      if (skus.length > 0) expiredCount += 1
      await forget(skus)
    } catch (error) {
      if (isDependencyOutage(error)) throw error
      onFailed?.(error, orderId)
    }
  }
  return expiredCount
}
