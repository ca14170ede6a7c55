/**
 * Where it is noted that an event was published. A key for each event would cost 180 bytes; here the events of a few milliseconds share
 * a hash, small enough for Redis to keep it as one compact list, and cost 20. It takes ids that begin with their time, as UUIDv7 do
 * (`crypto.randomUUIDv7()`); any other id gets a hash to itself: right as well, only not small.
 *
 * The mark within the hash is not the id but a part of it. That is enough to find the entry, whose own id is then compared.
 */

export interface Mark {
  /** Which hash: the last part of its key. */
  bucket: string
  /** Stream ids are noted relative to this, to be small. */
  baseMs: number
  name: string
}

/** At a thousand events per second a hash holds eight; beyond 512 (`hash-max-listpack-entries`) it stays right and gets larger. */
const BUCKET_MS = 8
const UUID_V7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/

export function markOf(eventId: string): Mark {
  if (!UUID_V7.test(eventId)) return { bucket: eventId, baseMs: 0, name: '0' }
  const createdMs = Number.parseInt(eventId.slice(0, 8) + eventId.slice(9, 13), 16)
  const baseMs = createdMs - (createdMs % BUCKET_MS)
  // As a number: Redis keeps it in 9 bytes.
  return { bucket: baseMs.toString(36), baseMs, name: String(Number.parseInt(eventId.slice(24), 16)) }
}
