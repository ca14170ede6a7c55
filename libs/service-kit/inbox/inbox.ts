/**
 * Inbox: an event that comes twice has its effect once, because the effect and the note "seen" are one transaction.
 *
 *     await prisma.$transaction(async (tx) => {
 *       if (!(await once(tx, { group: 'catalog', eventId: message.eventId }))) return
 *       await tx.product.update(…)
 *     })
 *     await message.ack()
 *
 * A mark in Redis could not do this: between the effect and the mark is a moment in which the process may die.
 */
import type pg from 'pg'

/** The part of a Prisma transaction client that is used: any service's fits that has the inbox table. */
export interface InboxTransaction {
  inboxEvent: {
    createMany(args: {
      data: { group: string; eventId: string }[]
      skipDuplicates: boolean
    }): PromiseLike<{ count: number }>
  }
}

/**
 * True for the first transaction that commits with this event and group, false for all others. Of two at the same time the
 * second waits for the first: it gets false if that one commits, true if it rolls back.
 */
export async function once(
  tx: InboxTransaction,
  { group, eventId }: { group: string; eventId: string },
): Promise<boolean> {
  const { count } = await tx.inboxEvent.createMany({ data: [{ group, eventId }], skipDuplicates: true })
  return count === 1
}

const BATCH_COUNT = 1000
const MAX_BATCHES = 20

/**
 * Forgets events that were seen long ago; returns how many. Keep them longer than any event can come again: longer than
 * the outbox keeps its rows for a replay, and than a dead letter may wait for its redrive.
 */
export async function forgetSeen(pool: pg.Pool, { retainMs }: { retainMs: number }): Promise<number> {
  let total = 0
  for (let batch = 0; batch < MAX_BATCHES; batch++) {
    const { rowCount } = await pool.query(
      `DELETE FROM inbox WHERE ctid = ANY(ARRAY(
         SELECT ctid FROM inbox WHERE processed_at < now() - $1 * interval '1 millisecond' LIMIT ${BATCH_COUNT}))`,
      [retainMs],
    )
    total += rowCount ?? 0
    if ((rowCount ?? 0) < BATCH_COUNT) break
  }
  return total
}
