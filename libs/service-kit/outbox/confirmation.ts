/**
 * Between "Redis has it" and "published": with `appendfsync everysec` what Redis has is on its disk a second or two later, and a row
 * that was marked before could be lost with it. So batches go on, and rows are marked here once the server says that its file is
 * synced (WAITAOF). What cannot say so is taken at its word, and the audit sees whether it kept it.
 */
import { closeRedis, type Redis } from '@shop/redis-kit/connection'
import { createAlarm } from '@shop/redis-kit/flow/alarm'
import { pause } from '@shop/redis-kit/flow/pause'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { TopicKeys } from '@shop/redis-kit/stream'
import { createDisk, type Disk, type Flushed } from '@shop/redis-kit/stream/durability'
import { isOlder } from '@shop/redis-kit/stream/stream-id'
import type pg from 'pg'
import type { Confirmation, SentRow } from './batch.ts'

export interface ConfirmationOptions {
  pool: pg.Pool
  topics: readonly TopicKeys[]
  /** Makes a connection of role 'blocking'. */
  connect: () => Redis
  /** Something that was sent is not there. */
  onGone: () => void
  log?: { warn(fields: object, text: string): void }
}

export interface ConfirmationLoop extends Confirmation {
  /** Until the signal aborts; then once more for what is there. */
  run(signal: AbortSignal, pulse?: Pulse): Promise<void>
}

/** A server that cannot say is asked again: it may be another one after a failover, or a newer one. */
const ASK_AGAIN_MS = 60_000
const RETRY_MS = 500
/** More are not remembered here. The audit has them sent again, which adds nothing to the stream. */
const MAX_WAITING_COUNT = 50_000

const PUBLISHED = `
  UPDATE outbox SET published_at = now()
  FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[]) AS sent(id, partition, ms, number)
  WHERE outbox.id = sent.id AND published_at IS NULL
    AND outbox.partition = sent.partition AND stream_ms = sent.ms AND stream_number = sent.number`

interface Group {
  keys: TopicKeys
  partition: number
  newestId: string
  rows: SentRow[]
}

export function createConfirmation({ pool, topics, connect, onGone, log }: ConfirmationOptions): ConfirmationLoop {
  const keysOf = new Map(topics.map((keys) => [keys.name, keys]))
  const alarm = createAlarm()
  const waiting: SentRow[] = []
  let takenAtItsWordUntilMs = 0
  return { isNeeded, expect, run }

  function isNeeded(): boolean {
    return performance.now() >= takenAtItsWordUntilMs
  }

  function expect(sent: readonly SentRow[]): void {
    if (waiting.length + sent.length <= MAX_WAITING_COUNT) waiting.push(...sent)
    alarm.ring()
  }

  async function run(signal: AbortSignal, pulse?: Pulse): Promise<void> {
    const connection = connect()
    const disk = createDisk(connection)
    try {
      // Not by flow/every.ts: an abort ends the wait, and what is waiting then is asked about in this round and once more.
      while (!signal.aborted) {
        await alarm.next(60_000, signal)
        if (!(await confirmAll(disk, pulse))) await pause(RETRY_MS, signal)
      }
      await confirmAll(disk, pulse)
    } finally {
      await closeRedis(connection)
    }
  }

  /** False when some have to be asked about again. */
  async function confirmAll(disk: Disk, pulse?: Pulse): Promise<boolean> {
    const groups = grouped(waiting.splice(0))
    if (groups.length === 0) return true
    try {
      const fates = await disk.flushed(
        groups.map(({ keys, partition, newestId: streamId }) => ({ keys, partition, streamId })),
      )
      const rowsThat = (fate: Flushed) => groups.flatMap(({ rows }, index) => (fates[index] === fate ? rows : []))
      if (fates.includes('gone')) onGone()
      if (fates.includes('unsupported')) takeAtItsWord()
      const late = rowsThat('late')
      waiting.push(...late)
      await mark([...rowsThat('on-disk'), ...rowsThat('unsupported')])
      pulse?.ok('confirm')
      return late.length === 0
    } catch (error) {
      pulse?.failed(error, 'confirm')
      waiting.unshift(...groups.flatMap(({ rows }) => rows)) // marking twice does no harm
      log?.warn({ err: error }, 'outbox confirmation postponed')
      return false
    } finally {
      if (waiting.length > 0) alarm.ring()
    }
  }

  function takeAtItsWord(): void {
    takenAtItsWordUntilMs = performance.now() + ASK_AGAIN_MS
    log?.warn({}, 'outbox confirmation skipped: Redis does not support WAITAOF, so accepted events count as published')
  }

  function grouped(rows: readonly SentRow[]): Group[] {
    const groups = new Map<string, Group>()
    for (const row of rows) {
      const keys = keysOf.get(row.topic)
      if (!keys) continue
      const name = `${row.topic} ${row.partition}`
      const group = groups.get(name) ?? { keys, partition: row.partition, newestId: row.streamId, rows: [] }
      if (isOlder(group.newestId, row.streamId)) group.newestId = row.streamId
      group.rows.push(row)
      groups.set(name, group)
    }
    return [...groups.values()]
  }

  async function mark(rows: readonly SentRow[]): Promise<void> {
    if (rows.length === 0) return
    const places = rows.map(({ streamId }) => streamId.split('-'))
    await pool.query(PUBLISHED, [
      rows.map(({ id }) => id),
      rows.map(({ partition }) => partition),
      places.map(([ms]) => ms),
      places.map(([, number]) => number),
    ])
  }
}
