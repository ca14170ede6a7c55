/** One partition as one reader sees it: its keys, what is being worked on, and how the loop over it is woken. */
import type { Redis } from '../connection/connection.ts'
import { isRedisOutage } from '../errors.ts'
import { type Alarm, createAlarm } from '../flow/alarm.ts'
import { coalesce } from '../flow/coalesce.ts'
import { script } from '../script.ts'
import { createLease, type Lease } from './lease.ts'
import type { Settings, StreamFact } from './reader.ts'
import type { TopicKeys } from './stream.ts'
import { millisecondsOf } from './stream-id.ts'

export interface Partition {
  readonly index: number
  readonly redis: Redis
  readonly keys: { stream: string; retry: string; dead: string; lease: string }
  readonly settings: Settings
  readonly signal: AbortSignal
  /** Deliveries that are neither acked nor failed, and those that are about to be handed out. */
  readonly inFlight: Set<Held>
  /** Ordered mode only. */
  readonly lease: Lease
  /** Rung when a delivery is settled, at each beat, and when the reader stops. */
  readonly alarm: Alarm
  readonly sweep: Sweep
  isGroupKnown: boolean
  /** The last hand-out that was counted got its answer: the connection and the script work. */
  isCountAnswered: boolean
  /** A count was refused after its messages were handed out. */
  countFailure?: { error: unknown }
  /** Failures in a row that were an outage of something the handler needs. */
  outageCount: number
  /** Owner-checked ack: 1 done, 0 another's, -1 nobody's. */
  finish: (id: string) => Promise<1 | 0 | -1>
  report: (fact: StreamFact) => void
}

/** One delivery of a message: a second one of the same message is another. */
export interface Held {
  id: string
  deliveryCount: number
  /** When its handler got it; Infinity before. */
  sinceMs: number
  isSettling: boolean
  /** Resolves when nothing more is sent to count it. Undefined: it was counted before the hand-out. */
  counted?: Promise<void>
}

/** Where the search for messages of silent consumers stands (any-order mode). */
interface Sweep {
  scope: 'own' | 'idle'
  cursor: string
  dueMs: number
}

const takeLease = script<1 | 0>(new URL('./lease.lua', import.meta.url), { effect: 'idempotent' })
const finishAll = script<(1 | 0 | -1)[]>(new URL('./ack.lua', import.meta.url))
const MAX_BATCH_COUNT = 100

export function createPartition(
  index: number,
  redis: Redis,
  keys: TopicKeys,
  settings: Settings,
  signal: AbortSignal,
): Partition {
  const { group, consumer, minIdleMs, observe } = settings
  const [stream, leaseKey] = [keys.stream.key(index), keys.lease.key(index, group)]
  const alarm = createAlarm()
  signal.addEventListener('abort', alarm.ring, { once: true }) // once, and not with each wait: there is one per message
  return {
    index,
    redis,
    keys: {
      stream,
      retry: keys.retry.key(index, group),
      dead: keys.dead.key(index),
      lease: leaseKey,
    },
    settings,
    signal,
    inFlight: new Set(),
    lease: createLease({ take: (ttlMs) => takeLease(redis, [leaseKey], [consumer, ttlMs]), ttlMs: minIdleMs, alarm }),
    alarm,
    sweep: { scope: 'own', cursor: '0-0', dueMs: 0 },
    isGroupKnown: false,
    isCountAnswered: false,
    outageCount: 0,
    finish: coalesce(
      (ids) => {
        const from = Math.min(...ids.map(millisecondsOf))
        return finishAll(redis, [stream], [group, consumer, from, ...ids])
      },
      { maxCount: MAX_BATCH_COUNT },
    ),
    report: (fact) => observe({ ...fact, topic: keys.name, group, partition: index }),
  }
}

export function hold(partition: Partition, id: string, deliveryCount: number): Held {
  const held: Held = { id, deliveryCount, sinceMs: Infinity, isSettling: false }
  partition.inFlight.add(held)
  return held
}

/**
 * Runs the first way to be done with a delivery and no second one. A handler that was given up on may come back while the
 * same message is redelivered, even to this very consumer: it must not finish that one. Frees the place whatever happens.
 */
export async function settle<Result>(
  partition: Partition,
  held: Held,
  otherwise: Result,
  work: () => Promise<Result>,
): Promise<Result> {
  if (held.isSettling) return otherwise
  held.isSettling = true
  try {
    return await work()
  } catch (error) {
    if (isGroupGone(error)) return otherwise
    throw error
  } finally {
    partition.inFlight.delete(held)
    partition.alarm.ring()
    partition.settings.onSettled(partition)
  }
}

export function isGroupGone(error: unknown): boolean {
  return error instanceof Error && error.message.includes('NOGROUP')
}

/** What time cures: no connection, a server that is loading or demoted, a read that was interrupted. */
export function isPassing(error: unknown): boolean {
  if (isRedisOutage(error)) return true
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) return false
  return error.name !== 'ReplyError'
}
