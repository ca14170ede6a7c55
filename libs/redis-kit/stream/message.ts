/** What a reader gets: an event, and the ways to be done with it. */
import { isRedisOutage, OutcomeUnknown } from '../errors.ts'
import { fullJitterMs } from '../flow/backoff.ts'
import { pause } from '../flow/pause.ts'
import { script } from '../script.ts'
import { RETRY_SET_MS } from './limits.ts'
import { type Held, hold, type Partition, settle } from './partition.ts'
import { millisecondsOf } from './stream-id.ts'

export interface Message {
  /** Its place in the stream, `1763911234567-0`. */
  readonly id: string
  /** The event's own id: the same on every delivery, after a redrive and in a repeated publication. Dedupe by this. */
  readonly eventId: string
  readonly key: string
  readonly type: string
  readonly body: string
  readonly partition: number
  /** 1 the first time. Counts hand-outs, before the handler runs: one that kills its process counts, an outage does not. */
  readonly deliveryCount: number
  readonly publishedAtMs: number
  /**
   * It is done. False if it was no longer ours: held too long, taken over, or finished before; then somebody else does it
   * or has done it. Repeated while Redis is away until the message may be taken over; then it throws, and the message comes again.
   */
  ack(): Promise<boolean>
  /**
   * It did not work: try again after a backoff (full jitter), or give it up to the dead letters once it was delivered
   * `maxDeliveries` times. In ordered mode its partition waits for it.
   */
  fail(error: unknown): Promise<Failed>
  /** It will never work (it cannot be understood, say): to the dead letters at once. */
  reject(error: unknown): Promise<Failed>
}

export type Failed = 'retry' | 'dead-letter' | 'not-owner'

/** What the scripts fetch, with how often it was handed out before. */
export type Entry = [id: string, fields: string[], handOutCount: number]

const putAside = script<1 | 0>(new URL('./retry.lua', import.meta.url), { effect: 'idempotent' })
const giveUp = script<[letterId: string, droppedCount: number]>(new URL('./dead-letter.lua', import.meta.url))

const MAX_REASON_LENGTH = 500
const MAX_TRACE_LENGTH = 2000

/** The fields of an entry by name; a name that comes twice keeps its last value. */
export function fieldsOf([, fields]: Entry): Record<string, string | undefined> {
  const byName: Record<string, string> = {}
  for (let i = 0; i < fields.length; i += 2) byName[fields[i] as string] = fields[i + 1] as string
  return byName
}

/** A message and its delivery, before the handler has it. */
export interface Arrival {
  held: Held
  message: Message
}

/** The message of an entry, held from now on; undefined if it is not an event. */
export function toArrival(partition: Partition, entry: Entry): Arrival | undefined {
  const [id, , handOutCount] = entry
  const { id: eventId, key, type, body } = fieldsOf(entry)
  if (eventId === undefined || key === undefined || type === undefined || body === undefined) return undefined
  return arrive(partition, { id, eventId, key, type, body, deliveryCount: handOutCount + 1 })
}

type EventTexts = [id: string, eventId: string, key: string, type: string, body: string]

/** Events that were never fetched before: five texts each, as next-any.lua and next-in-order.lua have them. */
export function toArrivals(partition: Partition, events: readonly string[]): Arrival[] {
  const arrivals: Arrival[] = []
  for (let at = 0; at < events.length; at += 5) {
    const [id, eventId, key, type, body] = events.slice(at, at + 5) as EventTexts
    arrivals.push(arrive(partition, { id, eventId, key, type, body, deliveryCount: 1 }))
  }
  return arrivals
}

type Delivered = Pick<Message, 'id' | 'eventId' | 'key' | 'type' | 'body' | 'deliveryCount'>

function arrive(partition: Partition, { id, eventId, key, type, body, deliveryCount }: Delivered): Arrival {
  const held = hold(partition, id, deliveryCount)
  const message: Message = {
    id,
    eventId,
    key,
    type,
    body,
    partition: partition.index,
    deliveryCount,
    publishedAtMs: millisecondsOf(id),
    ack: () => settle(partition, held, false, () => finishEntry(partition, id)),
    fail: (error) => failHeld(partition, held, error),
    reject: (error) => settle(partition, held, 'not-owner', () => bury(partition, id, deliveryCount, error)),
  }
  return { held, message }
}

export function failHeld(partition: Partition, held: Held, error: unknown): Promise<Failed> {
  return settle(partition, held, 'not-owner', async () => {
    await held.counted // what comes later would count an outage that the retry has just not counted
    return failEntry(partition, held, error)
  })
}

/** Owner-checked ack. */
export async function finishEntry(partition: Partition, id: string): Promise<boolean> {
  let wasSent = false
  const reply = await retryWhileOurs(partition, async () => {
    try {
      return await partition.finish(id)
    } catch (error) {
      wasSent ||= error instanceof OutcomeUnknown
      throw error
    }
  })
  partition.outageCount = 0
  return reply === 1 || (reply === -1 && wasSent) // finished before: by our attempt that got no answer
}

/** Tries again while Redis is away, until the message is about to be taken over anyway. */
async function retryWhileOurs<Reply>({ settings }: Partition, ask: () => Promise<Reply>): Promise<Reply> {
  const deadlineMs = performance.now() + settings.minIdleMs
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask()
    } catch (error) {
      if (!isRedisOutage(error) || performance.now() > deadlineMs) throw error
      await pause(fullJitterMs(attempt, { baseMs: 50, capMs: 1000 }))
    }
  }
}

async function failEntry(partition: Partition, { id, deliveryCount }: Held, error: unknown): Promise<Failed> {
  const { redis, keys, settings } = partition
  const isOutage = settings.isOutage(error)
  if (!isOutage && deliveryCount >= settings.maxDeliveries) return bury(partition, id, deliveryCount, error)

  // When something the handler needs is away, that is not the message's fault: not counted, so never a dead letter by it.
  const attempt = isOutage ? ++partition.outageCount : deliveryCount
  const delayMs = Math.ceil(fullJitterMs(attempt, { baseMs: settings.retryBaseMs, capMs: settings.retryCapMs }))
  const args = [
    settings.group,
    settings.consumer,
    id,
    delayMs,
    RETRY_SET_MS,
    isOutage ? deliveryCount - 1 : deliveryCount,
  ]
  const isOurs = await retryWhileOurs(partition, () => putAside(redis, [keys.stream, keys.retry], args))
  if (isOurs === 0) return 'not-owner'
  partition.report({ fact: 'retry', id, deliveryCount, delayMs, reason: reasonOf(error) })
  return 'retry'
}

/** To the dead letters, with its history. */
export async function bury(partition: Partition, id: string, attempts: number, error: unknown): Promise<Failed> {
  const { redis, keys, settings } = partition
  const reason = reasonOf(error)
  const args = [settings.group, settings.consumer, id, reason, attempts, traceOf(error), settings.maxDeadLettersCount]
  const [letterId, droppedCount] = await giveUp(redis, [keys.stream, keys.retry, keys.dead], args)
  if (letterId === '') return 'not-owner'
  partition.report({ fact: 'dead-letter', id, deliveryCount: attempts, reason })
  if (droppedCount > 0) partition.report({ fact: 'dead-letters-dropped', count: droppedCount })
  return 'dead-letter'
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return text.slice(0, MAX_REASON_LENGTH)
}

function traceOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? '').slice(0, MAX_TRACE_LENGTH) : ''
}
