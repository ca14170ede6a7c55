/**
 * Deletes what is kept only because a request or a callback might come again: for a week. One instance at a time, by a lock: two
 * would only wait for each other's rows. Deleting twice does no harm, so the lock needs no fence here.
 */
import { every } from '@shop/redis-kit/flow/every'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Lock } from '@shop/redis-kit/lock'
import { forgetSeen } from '@shop/service-kit/inbox'
import type { createPool } from '@shop/service-kit/storage/database'
import type { PrismaClient } from '../prisma/client/client.ts'

const retainMs = 7 * 24 * 60 * 60 * 1000
const everyMs = 10 * 60 * 1000
const batchCount = 10_000

interface Dependencies {
  prisma: PrismaClient
  pool: ReturnType<typeof createPool>
  lock: Lock
}

export function forgetOldRecords({ prisma, pool, lock }: Dependencies) {
  return (signal: AbortSignal, pulse?: Pulse) => {
    // The pause comes first: there is no hurry, and a start has better things to do.
    return every(everyMs, { signal, jitter: 0.5, first: 'pause' }, async () => {
      await lock.using('old-records', async ({ assertValid }) => {
        await forgetSeen(pool, { retainMs })
        assertValid()
        await forgetKeys(prisma, retainMs)
      })
      pulse?.ok()
    })
  }
}

/** Returns how many. A key that is used again after that means a new order; one cart becomes one order even then. */
function forgetKeys(prisma: PrismaClient, olderThanMs: number): Promise<number> {
  const before = new Date(Date.now() - olderThanMs)
  return prisma.$executeRaw`
    DELETE FROM idempotency_records WHERE ctid = ANY(ARRAY(
      SELECT ctid FROM idempotency_records WHERE created_at < ${before}::timestamptz LIMIT ${batchCount}))`
}
