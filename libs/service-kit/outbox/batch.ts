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

/** Where it went, in the same commit; that it is published, now or once it is known to be on the disk. */
const MARK = `
  UPDATE outbox SET partition = sent.partition, stream_ms = sent.ms, stream_number = sent.number,
    published_at = CASE WHEN $5::boolean THEN now() END
  FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[]) AS sent(id, partition, ms, number)
  WHERE outbox.id = sent.id`

/** What makes a row one that is to be published (again). */
export const UNSENT = 'published_at = NULL, partition = NULL, stream_ms = NULL, stream_number = NULL'

export interface OutboxRow {
  id: string
  eventId: string
  topic: string
  key: string
  type: string
  body: string
}

/** Where on its stream an event is. */
export interface Place {
  partition: number
  /** `1763911234567-0` */
  streamId: string
}

export interface SentRow extends Place {
  id: string
  topic: string
}

/** What has to happen between "Redis has it" and "published". */
export interface Confirmation {
  /** If not, rows are marked as published with their batch. */
  isNeeded(): boolean
  /** From now on, these rows are for it to mark. Their batch is committed. */
  expect(sent: readonly SentRow[]): void
}

export interface BatchOptions {
  pool: pg.Pool
  /**
   * Must be idempotent by `eventId`, and must settle in bounded time. The place is kept with the row.
   * @param takenMs no later than the look at the outbox that found it (performance.now)
   */
  publish: (row: OutboxRow, takenMs: number) => Promise<Place> | Promise<void>
  /** Called with the rows taken, in their transaction, before the look for earlier ones of their keys. */
  onTaken?: (rows: readonly OutboxRow[], client: pg.PoolClient) => Promise<void>
  /** @default none: what was published is marked at once */
  confirmation?: Confirmation
  batchCount: number
  batchMs: number
  holds: Holds
  log?: { warn(fields: object, text: string): void }
}

const TAKE = `
  SELECT id, event_id AS "eventId", topic, key, type, body FROM outbox
  WHERE published_at IS NULL AND stream_ms IS NULL AND NOT (topic || E'\\n' || key = ANY($2))
  ORDER BY id LIMIT $1
  FOR UPDATE SKIP LOCKED`

/** A statement of its own, hence with a newer snapshot: a row that another relay has just marked does not count any more. */
const OVERTAKEN = `
  SELECT DISTINCT earlier.topic, earlier.key
  FROM unnest($1::text[], $2::text[], $3::bigint[]) AS taken(topic, key, id)
  JOIN outbox AS earlier ON earlier.topic = taken.topic AND earlier.key = taken.key AND earlier.id < taken.id
  WHERE earlier.published_at IS NULL AND earlier.stream_ms IS NULL AND NOT (earlier.id = ANY($3))`

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
  const takenMs = performance.now()
  await client.query('BEGIN')
  const { rows } = await client.query<OutboxRow>(TAKE, [options.batchCount, options.holds.current()])
  if (rows.length > 0) await options.onTaken?.(rows, client)
  const ours = rows.length === 0 ? [] : await withoutOvertaken(client, rows)
  const { sent, failure } = await publishAll(ours, options, { takenMs, signal })
  // Without a place there is nothing that could be confirmed.
  const confirmation = sent.every(hasPlace) && options.confirmation?.isNeeded() ? options.confirmation : undefined
  if (sent.length > 0) await client.query(MARK, [...columnsOf(sent), confirmation === undefined])
  await client.query('COMMIT')
  confirmation?.expect(sent as SentRow[])
  return { takenCount: rows.length, publishedCount: sent.length, failure }
}

type MaybeSentRow = Omit<SentRow, keyof Place> & Partial<Place>

function hasPlace(row: MaybeSentRow): row is SentRow {
  return row.streamId !== undefined
}

function columnsOf(sent: readonly MaybeSentRow[]): unknown[][] {
  const ids = sent.map(({ streamId }) => streamId?.split('-') ?? [])
  return [
    sent.map(({ id }) => id),
    sent.map(({ partition }) => partition),
    ids.map(([ms]) => ms),
    ids.map(([, number]) => number),
  ]
}

async function withoutOvertaken(client: pg.PoolClient, rows: OutboxRow[]): Promise<OutboxRow[]> {
  const columns = [rows.map(({ topic }) => topic), rows.map(({ key }) => key), rows.map(({ id }) => id)]
  const found = await client.query<Pick<OutboxRow, 'topic' | 'key'>>(OVERTAKEN, columns)
  const overtaken = new Set(found.rows.map(nameOf))
  return rows.filter((row) => !overtaken.has(nameOf(row)))
}

/** Keys side by side, the events of a key one after the other; a key stops at its first failure. */
async function publishAll(
  rows: OutboxRow[],
  options: BatchOptions,
  { takenMs, signal }: { takenMs: number; signal: AbortSignal },
) {
  const { publish, batchMs, holds, log } = options
  const deadlineMs = takenMs + batchMs
  const sent: MaybeSentRow[] = []
  let failure: { error: unknown } | undefined
  const lanes = Map.groupBy(rows, nameOf)
  await Promise.all(Array.from(lanes, ([name, lane]) => publishLane(name, lane)))
  // Everything failed: that is an outage of the other side and not the fault of single events.
  if (sent.length === 0) for (const name of lanes.keys()) holds.succeeded(name)
  return { sent, failure }

  async function publishLane(name: string, lane: OutboxRow[]): Promise<void> {
    for (const row of lane) {
      if (signal.aborted || performance.now() > deadlineMs) return
      try {
        const place = await publish(row, takenMs)
        sent.push({ id: row.id, topic: row.topic, ...place })
        holds.succeeded(name)
      } catch (error) {
        failure = { error }
        holds.failed(name)
        log?.warn({ err: error, topic: row.topic, eventId: row.eventId }, 'outbox event not published')
        return
      }
    }
  }
}

function nameOf({ topic, key }: Pick<OutboxRow, 'topic' | 'key'>): string {
  return `${topic}\n${key}`
}
