/** Deletes what is kept only because an event might still come: for a week, longer than the outboxes keep their rows for a replay. */
import { every } from '@shop/redis-kit/flow/every'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import { forgetSeen } from '@shop/service-kit/inbox'
import type { createPool } from '@shop/service-kit/storage/database'
import type { StockStore } from './store.ts'

const retainMs = 7 * 24 * 60 * 60 * 1000
const everyMs = 10 * 60 * 1000

export function forgetOldEvents({ stock, pool }: { stock: StockStore; pool: ReturnType<typeof createPool> }) {
  return (signal: AbortSignal, pulse?: Pulse) => {
    // The pause comes first: there is no hurry, and a start has better things to do.
    return every(everyMs, { signal, jitter: 0.5, first: 'pause' }, async () => {
      await forgetSeen(pool, { retainMs })
      await stock.forgetCancellations(retainMs)
      pulse?.ok()
    })
  }
}
