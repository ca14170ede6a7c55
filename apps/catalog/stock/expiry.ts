/** Gives back what was reserved for orders that nobody paid. */
import { setTimeout as elapse } from 'node:timers/promises'
import type { Log } from '@shop/service-kit/log'
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
  return async (signal: AbortSignal) => {
    while (!signal.aborted) {
      const expiredCount = await sweep({ stock, forget }, signal)
      if (expiredCount > 0) log.info({ expiredCount }, 'reservations expired')
      if (expiredCount < batchSize) await elapse(sweepMs, undefined, { signal }).catch(() => {})
    }
  }
}

/** One batch, a transaction per order: none holds more locks than one order needs. Returns how many orders lost their reservation. */
export async function sweep({ stock, forget }: Pick<Dependencies, 'stock' | 'forget'>, signal?: AbortSignal) {
  let expiredCount = 0
  for (const orderId of await stock.expiredOrders(batchSize)) {
    if (signal?.aborted) break
    const { skus } = await stock.updateIfIdle({ orderId, rule: expire })
    if (skus.length > 0) expiredCount += 1
    await forget(skus)
  }
  return expiredCount
}
