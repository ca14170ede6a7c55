/**
 * One batch: lock rows, publish them, mark them, commit. What dies in between is published again by whoever comes next.
 *
 * Several relays share the table by SKIP LOCKED: each takes rows that no other holds. That alone would break the order: relay A
 * holds an order's first event while B takes its second. So of each key a batch keeps only what has no earlier unpublished
 * row outside of it. Since `enqueue` lets the transactions of one key pass one after the other, no earlier row can turn up later.
 *
 * Rows are found by their flag and not by "id above the last one seen": ids are given before commits, and a late commit with
 * a low id would be skipped for ever.
 */
import type pg from 'pg'
import type { Holds } from './holds.ts'

const MARK = 'UPDATE outbox SET published_at = now() WHERE id = ANY($1)'

export interface OutboxRow {
  id: string
  eventId: string
  topic: string
  key: string
  type: string
  body: string
}

export interface BatchOptions {
  pool: pg.Pool
  /** Must be idempotent by `eventId`, and must settle in bounded time. */
  publish: (row: OutboxRow) => Promise<unknown>
  batchCount: number
  batchMs: number
  holds: Holds
  log?: { warn(fields: object, text: string): void }
}

const TAKE = `
  SELECT id, event_id AS "eventId", topic, key, type, body FROM outbox
  WHERE published_at IS NULL AND NOT (topic || E'\\n' || key = ANY($2))
  ORDER BY id LIMIT $1
  FOR UPDATE SKIP LOCKED`

/** A statement of its own, hence with a newer snapshot: a row that another relay has just marked does not count any more. */
const OVERTAKEN = `
  SELECT DISTINCT earlier.topic, earlier.key
  FROM unnest($1::text[], $2::text[], $3::bigint[]) AS taken(topic, key, id)
  JOIN outbox AS earlier ON earlier.topic = taken.topic AND earlier.key = taken.key AND earlier.id < taken.id
  WHERE earlier.published_at IS NULL AND NOT (earlier.id = ANY($3))`

/** Resolves with 'more' when there may be more to do at once. Throws when nothing could be published, or Postgres is away. */
export function createBatch(options: BatchOptions): (signal: AbortSignal) => Promise<'more' | 'drained'> {
  const { pool, batchCount } = options

  return async function takeBatch(signal) {
    const client = await pool.connect()
    let broken: unknown
    const onError = (error: unknown) => {
      broken = error // the query in flight rejects as well; without a listener the process would end
    }
    client.on('error', onError)
    const { takenCount, publishedCount, failure } = await publishBatch(client, options, signal)
      .catch((error) => {
        broken = error
        throw error
      })
      .finally(() => {
        client.off('error', onError)
        client.release(broken !== undefined) // closing the connection of a failed transaction rolls it back
      })
    if (publishedCount === 0 && failure) throw failure.error
    return publishedCount > 0 && takenCount === batchCount ? 'more' : 'drained'
  }
}

async function publishBatch(client: pg.PoolClient, options: BatchOptions, signal: AbortSignal) {
  await client.query('BEGIN')
  const { rows } = await client.query<OutboxRow>(TAKE, [options.batchCount, options.holds.current()])
  const ours = rows.length === 0 ? [] : await withoutOvertaken(client, rows)
  const { published, failure } = await publishAll(ours, options, signal)
  if (published.length > 0) await client.query(MARK, [published])
  await client.query('COMMIT')
  return { takenCount: rows.length, publishedCount: published.length, failure }
}

async function withoutOvertaken(client: pg.PoolClient, rows: OutboxRow[]): Promise<OutboxRow[]> {
  const columns = [rows.map(({ topic }) => topic), rows.map(({ key }) => key), rows.map(({ id }) => id)]
  const found = await client.query<Pick<OutboxRow, 'topic' | 'key'>>(OVERTAKEN, columns)
  const overtaken = new Set(found.rows.map(nameOf))
  return rows.filter((row) => !overtaken.has(nameOf(row)))
}

/** Keys side by side, the events of a key one after the other; a key stops at its first failure. */
async function publishAll(rows: OutboxRow[], { publish, batchMs, holds, log }: BatchOptions, signal: AbortSignal) {
  const deadlineMs = performance.now() + batchMs
  const published: string[] = []
  let failure: { error: unknown } | undefined
  const lanes = Map.groupBy(rows, nameOf)
  await Promise.all(Array.from(lanes, ([name, lane]) => publishLane(name, lane)))
  // Everything failed: that is an outage of the other side and not the fault of single events.
  if (published.length === 0) for (const name of lanes.keys()) holds.succeeded(name)
  return { published, failure }

  async function publishLane(name: string, lane: OutboxRow[]): Promise<void> {
    for (const row of lane) {
      if (signal.aborted || performance.now() > deadlineMs) return
      try {
        await publish(row)
        published.push(row.id)
        holds.succeeded(name)
      } catch (error) {
        failure = { error }
        holds.failed(name)
        log?.warn({ err: error, topic: row.topic, eventId: row.eventId }, 'outbox: an event was not published')
        return
      }
    }
  }
}

function nameOf({ topic, key }: Pick<OutboxRow, 'topic' | 'key'>): string {
  return `${topic}\n${key}`
}
