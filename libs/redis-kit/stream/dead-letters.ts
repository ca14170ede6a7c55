/**
 * What consumers have given up, and what a person can do about it: look, send it again, throw it away.
 *
 *     const letters = createDeadLetters(redis, { keys })
 *     for (const letter of (await letters.list()).letters) await letters.redrive(letter.letterId)
 */
import type { Redis } from '../connection/connection.ts'
import { script } from '../script.ts'
import type { TopicKeys } from './stream.ts'
import { millisecondsOf } from './stream-id.ts'

export interface DeadLetter {
  letterId: string
  /** Who gave it up: a redrive goes to this group only. */
  group: string
  /** The id of the message on the stream. */
  originId: string
  reason: string
  /** How often it was handed out. */
  attemptCount: number
  /** Where in the code it failed the last time; '' when the reason was not an error. */
  trace: string
  deadSinceMs: number
  partition: number
  /** Of the event; undefined where the entry was not an event at all, or was already trimmed. */
  eventId?: string
  key?: string
  type?: string
  body?: string
  /** Whatever else the entry had: all there is to see of one that was not an event. */
  otherFields: Record<string, string>
}

export interface DeadLetterPage {
  letters: DeadLetter[]
  /** Where the next page starts; undefined at the end. */
  cursor?: string
}

export interface DeadLetters {
  /** The oldest first within each partition. @param limit 1 to 1000, default 100 */
  list(page?: { limit?: number; cursor?: string }): Promise<DeadLetterPage>
  count(): Promise<number>
  /** Undefined if there is no such letter (any more). */
  find(letterId: string): Promise<DeadLetter | undefined>
  /**
   * Puts the event back on its stream, at the end, for the group that gave it up: same event id, a fresh number of deliveries.
   * Returns its new id on the stream, or undefined if there is no such letter (any more): of two redrives one counts.
   */
  redrive(letterId: string): Promise<string | undefined>
  /** Throws it away. False if there is no such letter (any more). */
  discard(letterId: string): Promise<boolean>
}

const putBack = script<string>(new URL('./redrive.lua', import.meta.url))
const LETTER_ID = /^(\d{1,4})\.(\d{1,20})-(\d{1,20})$/
const MAX_ID_PART = 2n ** 64n - 1n
/** The last moment that a Date can be: an id may be anybody's. */
const MAX_DATE_MS = 8_640_000_000_000_000

export function createDeadLetters(redis: Redis, { keys }: { keys: TopicKeys }): DeadLetters {
  return { list, count, find, redrive, discard }

  async function list({ limit = 100, cursor = '' }: { limit?: number; cursor?: string } = {}): Promise<DeadLetterPage> {
    const wanted = Math.max(1, Math.min(limit, 1000))
    const start = parseLetterId(cursor, keys)
    const letters: DeadLetter[] = []
    for (let partition = start?.partition ?? 0; partition < keys.partitions; partition++) {
      const after = start?.partition === partition ? `(${start.id}` : '-'
      // One more than wanted: is there another page?
      const entries = await redis.xrange(keys.dead.key(partition), after, '+', 'COUNT', wanted + 1 - letters.length)
      letters.push(...entries.map(([id, fields]) => toLetter(partition, id, fields)))
      if (letters.length > wanted) return { letters: letters.slice(0, wanted), cursor: letters[wanted - 1]?.letterId }
    }
    return { letters }
  }

  async function count(): Promise<number> {
    const streams = Array.from({ length: keys.partitions }, (_, partition) => keys.dead.key(partition))
    const counts = await Promise.all(streams.map((stream) => redis.xlen(stream)))
    return counts.reduce((total, one) => total + one, 0)
  }

  async function find(letterId: string): Promise<DeadLetter | undefined> {
    const letter = parseLetterId(letterId, keys)
    if (!letter) return undefined
    const [entry] = await redis.xrange(keys.dead.key(letter.partition), letter.id, letter.id)
    return entry && toLetter(letter.partition, ...entry)
  }

  async function redrive(letterId: string): Promise<string | undefined> {
    const letter = parseLetterId(letterId, keys)
    if (!letter) return undefined
    const target = [keys.stream.key(letter.partition), keys.dead.key(letter.partition)]
    return (await putBack(redis, target, [letter.id])) || undefined
  }

  async function discard(letterId: string): Promise<boolean> {
    const letter = parseLetterId(letterId, keys)
    return letter !== undefined && (await redis.xdel(keys.dead.key(letter.partition), letter.id)) === 1
  }
}

/** A letter is group, origin, reason, attempts, trace, each with its name (dead-letter.lua), then the original's own fields. */
function toLetter(partition: number, id: string, fields: string[]): DeadLetter {
  const [, group = '', , originId = '', , reason = '', , attempts = '0', , trace = '', ...rest] = fields
  const original: Record<string, string> = {}
  for (let i = 0; i < rest.length; i += 2) original[rest[i] as string] = rest[i + 1] as string
  const { id: eventId, key, type, body, ...otherFields } = original
  return {
    letterId: `${partition}.${id}`,
    group,
    originId,
    reason,
    attemptCount: /^\d{1,9}$/.test(attempts) ? Number(attempts) : 0,
    trace,
    deadSinceMs: Math.min(millisecondsOf(id), MAX_DATE_MS),
    partition,
    eventId,
    key,
    type,
    body,
    otherFields,
  }
}

/** Undefined for what cannot be a letter: Redis would answer an id of more than 64 bits with an error. */
function parseLetterId(letterId: string, keys: TopicKeys): { partition: number; id: string } | undefined {
  const [, partition, ms, number] = LETTER_ID.exec(letterId) ?? []
  if (ms === undefined || number === undefined || Number(partition) >= keys.partitions) return undefined
  if (BigInt(ms) > MAX_ID_PART || BigInt(number) > MAX_ID_PART) return undefined
  return { partition: Number(partition), id: `${ms}-${number}` }
}
