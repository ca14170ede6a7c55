/** Rows of one topic by their place on the stream. The two numbers of a stream id are two columns: as text they would not sort. */
import type pg from 'pg'
import { type Place, UNSENT } from './batch.ts'

export interface PlacedRow {
  id: string
  streamId: string
}

/** As many as Redis looks up in well under a millisecond. */
const PAGE_COUNT = 200

const PAGE = `
  SELECT id, stream_ms AS ms, stream_number AS number FROM outbox
  WHERE topic = $1 AND partition = $2 AND (stream_ms, stream_number) >= ($3::bigint, $4::bigint)
    AND ($5::bigint IS NULL OR (stream_ms, stream_number) < ($5::bigint, $6::bigint))
  ORDER BY stream_ms, stream_number LIMIT ${PAGE_COUNT}`

export function createPlaces(pool: pg.Pool, topic: string) {
  return { between, unsend, unsendUnconfirmed }

  /** Page by page, in the order of the stream. `''` is before all; without an end, to the newest. */
  async function* between(partition: number, fromId: string, beforeId?: string): AsyncIterable<PlacedRow[]> {
    const [beforeMs, beforeNumber] = beforeId?.split('-') ?? [null, null]
    let [ms = '0', number = '0'] = (fromId || '0-0').split('-')
    while (true) {
      const { rows } = await pool.query(PAGE, [topic, partition, ms, number, beforeMs, beforeNumber])
      if (rows.length > 0) yield rows.map((row) => ({ id: row.id, streamId: `${row.ms}-${row.number}` }))
      if (rows.length < PAGE_COUNT) return
      ms = rows.at(-1).ms
      number = String(BigInt(rows.at(-1).number) + 1n)
    }
  }

  /** Has them published again; not those that were sent again meanwhile. */
  async function unsend(partition: number, rows: readonly PlacedRow[]): Promise<void> {
    const ids = rows.map(({ streamId }) => streamId.split('-'))
    await pool.query(
      `UPDATE outbox SET ${UNSENT} FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS lost(id, ms, number)
       WHERE outbox.id = lost.id AND partition = $4 AND stream_ms = lost.ms AND stream_number = lost.number`,
      [rows.map(({ id }) => id), ids.map(([ms]) => ms), ids.map(([, number]) => number), partition],
    )
  }

  /** Those that were sent before, by the clock of Redis, and never confirmed. */
  async function unsendUnconfirmed(partition: number, beforeMs: number): Promise<void> {
    await pool.query(
      `UPDATE outbox SET ${UNSENT} WHERE published_at IS NULL AND topic = $1 AND partition = $2 AND stream_ms < $3`,
      [topic, partition, beforeMs],
    )
  }
}

const NEWEST = `
  SELECT wanted.topic, wanted.partition, newest.ms || '-' || newest.number AS "streamId"
  FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::int[]) AS given(topic, partition)) AS wanted
  CROSS JOIN LATERAL (
    SELECT stream_ms AS ms, stream_number AS number FROM outbox
    WHERE outbox.topic = wanted.topic AND outbox.partition = wanted.partition
    ORDER BY stream_ms DESC, stream_number DESC LIMIT 1) AS newest`

/** The newest place of each partition that any relay has committed. */
export async function newestPlaces(
  client: pg.PoolClient,
  partitions: readonly { topic: string; partition: number }[],
): Promise<(Place & { topic: string })[]> {
  const columns = [partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)]
  const { rows } = await client.query<Place & { topic: string }>(NEWEST, columns)
  return rows
}
