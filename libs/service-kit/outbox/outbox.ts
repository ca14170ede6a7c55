/**
 * Transactional outbox: a service says what happened in the very transaction in which it happens, and a relay tells the others.
 *
 *     await prisma.$transaction(async (tx) => {
 *       await tx.order.create({ data: order })
 *       await enqueue(tx, { eventId, topic: 'order:events', key: order.id, type: 'order.placed', body })
 *     })
 *
 *     const relay = createRelay({ pool, publish: (row) => topic.publish({ ...row, id: row.eventId }) })
 *     await relay.run(signal)
 *
 * Neither "committed but never told" nor "told but rolled back" can happen, whatever dies when. Events may be told twice
 * (the relay died between publishing and marking): they carry an id for that.
 */

import { type Alarm, createAlarm } from '@shop/redis-kit/flow/alarm'
import { every } from '@shop/redis-kit/flow/every'
import { pause } from '@shop/redis-kit/flow/pause'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import { checkNumbers, MAX_TIMER_MS } from '@shop/redis-kit/number-options'
import type pg from 'pg'
import { type BatchOptions, createBatch, UNSENT } from './batch.ts'
import { clean } from './clean.ts'
import { createHolds } from './holds.ts'
import { listen } from './listen.ts'

export type { OutboxRow, Place } from './batch.ts'

/** What wakes the relays of a database. */
const CHANNEL = 'outbox'

export interface OutboxEvent {
  /** A UUID, unique for ever. */
  eventId: string
  /** Which stream it goes to: `order:events`. */
  topic: string
  /** What it is about: events of one topic and key are published in the order of their transactions. */
  key: string
  type: string
  body: string
}

/** The part of a Prisma transaction client that is used: any service's fits that has the outbox table. */
export interface OutboxTransaction {
  outboxEvent: { create(args: { data: OutboxEvent }): PromiseLike<unknown> }
  $executeRawUnsafe(query: string, ...values: unknown[]): PromiseLike<number>
}

/**
 * Writes the event as part of the transaction. Order per key is made here: a second transaction with an event for the same
 * topic and key waits until this one has ended, so ids follow the order of the commits. Enqueue late in a transaction and,
 * when there are several keys, always in the same order.
 *
 * The relay is woken by the commit: NOTIFY is delivered then, or never if the transaction rolls back.
 */
export async function enqueue(tx: OutboxTransaction, event: OutboxEvent): Promise<void> {
  const { eventId, topic, key, type, body } = event
  await tx.$executeRawUnsafe(
    `SELECT pg_advisory_xact_lock(hashtextextended($1, ${LOCK_SEED})), pg_notify('${CHANNEL}', '')`,
    `${topic}\n${key}`,
  )
  await tx.outboxEvent.create({ data: { eventId, topic, key, type, body } })
}

/** Keeps these advisory locks apart from those that services take for reasons of their own. */
const LOCK_SEED = 7_267_841

export interface RelayOptions extends Pick<BatchOptions, 'publish' | 'onTaken' | 'confirmation'> {
  /** Two connections are used: one listens, one works. */
  pool: pg.Pool
  /** Rows taken at a time. @default 100 */
  batchCount?: number
  /** A batch stops publishing after this long and marks what is done; its rows are locked meanwhile. @default 5_000 */
  batchMs?: number
  /** How often to look without having been woken. @default 1_000 */
  pollMs?: number
  /** How long published rows are kept, for a replay when Redis lost data. @default 86_400_000 */
  retainMs?: number
  /** @default 60_000 */
  cleanEveryMs?: number
  /** First and longest step of the backoff after failures. @default 100 and 10_000 */
  retryBaseMs?: number
  retryCapMs?: number
  /** Hears of failures; nothing is lost by them. A pino logger fits. */
  log?: { warn(fields: object, text: string): void }
}

export interface Relay {
  /**
   * Publishes what is in the outbox until the signal aborts. Survives outages of both sides. Any number of relays may work on one
   * database: they share the rows, and each event is usually published by one of them.
   */
  run(signal: AbortSignal, pulse?: Pulse): Promise<void>
  /** What waits: how many (counted up to 10,000), and for how long. For a gauge and an alarm. */
  backlog(): Promise<{ count: number; oldestAgeMs: number }>
  /**
   * Publishes again what was published since then, if it is still kept: for when Redis has lost its last moments.
   * Returns how many events that is. Consumers that have seen them skip them by their id.
   */
  republish(since: Date, topic?: string): Promise<number>
  /** Looks for rows at once. */
  wake(): void
}

interface Repeated {
  signal: AbortSignal
  pulse?: Pulse
  work(signal: AbortSignal): Promise<unknown>
  woken?: Alarm
}

export function createRelay(options: RelayOptions): Relay {
  const timer = { min: 1, max: MAX_TIMER_MS }
  checkNumbers('outbox relay', options, {
    batchCount: { min: 1, max: 10_000, isWhole: true },
    batchMs: timer,
    pollMs: timer,
    retainMs: { min: 0 },
    cleanEveryMs: timer,
    retryBaseMs: { min: 0, max: MAX_TIMER_MS },
    retryCapMs: { min: 0, max: MAX_TIMER_MS },
  })
  const { pool, publish, onTaken, confirmation, batchCount = 100, batchMs = 5000, pollMs = 1000, log } = options
  const { retainMs = 86_400_000, cleanEveryMs = 60_000, retryBaseMs = 100, retryCapMs = 10_000 } = options
  const backoff = { baseMs: retryBaseMs, capMs: retryCapMs }
  const holds = createHolds(backoff)
  const takeBatch = createBatch({ pool, publish, onTaken, confirmation, batchCount, batchMs, holds, log })
  const alarm = createAlarm()
  return { run, backlog, republish, wake: alarm.ring }

  async function run(signal: AbortSignal, pulse?: Pulse): Promise<void> {
    const listening = listen({ pool, channel: CHANNEL, alarm, signal, backoff, pulse, log })
    const cleaning = repeat('clean', cleanEveryMs, { signal, pulse, work: () => clean(pool, retainMs) })
    await repeat('publish', pollMs, { signal, pulse, work: drain, woken: alarm })
    await Promise.all([listening, cleaning])
  }

  async function drain(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await takeBatch(signal)) === 'more');
  }

  /** Does the work, then waits for the next time or for the alarm; after failures waits longer and longer. */
  function repeat(name: string, everyMs: number, { signal, pulse, work, woken }: Repeated): Promise<void> {
    let failureCount = 0
    return every(everyMs, { signal, alarm: woken }, async () => {
      try {
        await work(signal)
        failureCount = 0
        pulse?.ok(name)
      } catch (error) {
        if (signal.aborted) return
        failureCount += 1
        pulse?.failed(error, name)
        log?.warn({ err: error, failureCount }, `outbox ${name} postponed`)
        await pause(holds.delayMs(failureCount), signal)
        return 'more' // its pause is over
      }
    })
  }

  async function backlog(): Promise<{ count: number; oldestAgeMs: number }> {
    const { rows } = await pool.query(`
      SELECT count(*)::int AS count, coalesce(extract(epoch FROM now() - min(created_at)) * 1000, 0)::float8 AS "oldestAgeMs"
      FROM (SELECT created_at FROM outbox WHERE published_at IS NULL AND stream_ms IS NULL ORDER BY id LIMIT 10000) AS waiting`)
    return rows[0]
  }

  async function republish(since: Date, topic?: string): Promise<number> {
    const { rowCount } = await pool.query(
      `UPDATE outbox SET ${UNSENT} WHERE published_at >= $1 AND ($2::text IS NULL OR topic = $2)`,
      [since, topic ?? null],
    )
    alarm.ring()
    return rowCount ?? 0
  }
}
