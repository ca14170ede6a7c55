import type pg from 'pg'

const BATCH_COUNT = 1000
const MAX_BATCHES = 20

/** Deletes rows that were published long enough ago, in batches, the oldest first. Returns how many. */
export async function clean(pool: pg.Pool, retainMs: number): Promise<number> {
  let total = 0
  for (let batch = 0; batch < MAX_BATCHES; batch++) {
    const { rowCount } = await pool.query(
      `DELETE FROM outbox WHERE id IN (
         SELECT id FROM outbox WHERE published_at < now() - $1 * interval '1 millisecond'
         ORDER BY published_at LIMIT ${BATCH_COUNT} FOR UPDATE SKIP LOCKED)`,
      [retainMs],
    )
    total += rowCount ?? 0
    if ((rowCount ?? 0) < BATCH_COUNT) break
  }
  return total
}
