/**
 * One read, from the copy in memory to the source:
 *
 *     copy in this process? ── no ──> in Redis? ── no, or void ──> lease? ── given ──> load, fill: 'miss'
 *             │ yes                     │ yes                        │ another has it: wait for its fill, within bounds
 *         'hit-local'        fresh: 'hit'                            v
 *                            stale: 'stale', and one               'hit'
 *                            process refreshes behind it
 *
 * Whatever goes wrong with Redis, or takes too long, ends in 'bypass': the source answers and nothing is stored. What the
 * loader throws reaches the caller, and of the cache's own errors only ValueTooLarge and the bulkhead's.
 */
import { earlyMs, keepCopy, localCopy } from './copies.ts'
import { tokenOf } from './envelope.ts'
import type { CacheResult } from './events.ts'
import type { Lease } from './lease.ts'
import { bypass, loadUnder, refresh } from './load.ts'
import type { LocalStore } from './local.ts'
import { askForLease, untilFilled } from './obtain.ts'
import { behind, type Core, type Flight, type Reader, type ReadRequest } from './reader.ts'
import type { CachedRecord, Records } from './records.ts'
import { createSingleFlight, end, enterLoading, type Followed, follow } from './single-flight.ts'
import { areCurrent, type Stamps } from './tags.ts'

export interface ReadThrough<Value> {
  local(id: string): Promise<CacheResult<Value>> | undefined
  read(request: ReadRequest<Value>): Promise<CacheResult<Value>>
}

/** With a store, it keeps copies in memory. */
export function createReadThrough<Value>(
  core: Core,
  records: Records<Value>,
  store?: LocalStore<CacheResult<Value>>,
): ReadThrough<Value> {
  const reader: Reader<Value> = { ...core, records, store, flights: new Map(), refreshing: new Set() }
  const share = createSingleFlight<Value>(reader, (request, flight) => perform(reader, request, flight))
  // A read after an invalidation does not wait for one that began before it.
  core.coherence.add({
    drop(id) {
      store?.drop(id)
      reader.flights.delete(id)
    },
    dropTag(tag) {
      store?.dropTag(tag)
      reader.flights.clear()
    },
    clear() {
      store?.clear()
      reader.flights.clear()
    },
  })
  return {
    local: (id) => localCopy(reader, id),
    read: share,
  }
}

/** The common case, an untagged value that is there, in as few steps as it can be done; all else in `readOrLoad`. */
function perform<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  flight: Flight<Value>,
): Promise<CacheResult<Value>> {
  const { clock, coherence, look } = reader
  const captured = coherence.capture()
  const key = keyOf(reader, request)
  if (key instanceof Error) {
    end(reader, request.id, flight)
    return Promise.reject(key)
  }
  // Without the server's clock nobody can say what is fresh: the script says it along with the value.
  if (clock.isDue() || request.tags.length > 0) return readOrLoad(reader, request, { flight, captured })
  return look(key, flight).then(
    (bytes) => {
      const record = bytes ? reader.records.read(bytes) : undefined
      if (!record || record.stamps.length > 0) return readOrLoad(reader, request, { flight, captured, bytes })
      end(reader, request.id, flight)
      return answer(reader, request, record, captured)
    },
    (error) => readOrLoad(reader, request, { flight, captured, error }),
  )
}

/** An id or a tag that cannot be one is a mistake of the caller's, and not a failure of Redis to be gone around. */
function keyOf<Value>({ keys, tags }: Reader<Value>, request: ReadRequest<Value>): string | Error {
  try {
    if (request.tags.length > 0) tags.check(request.tags)
    return keys.value.key(request.id)
  } catch (error) {
    return error as Error
  }
}

interface Progress<Value> {
  flight: Flight<Value>
  captured: number
  /** What Redis has, if that is known. */
  bytes?: Buffer | null
  /** Why it could not be asked. */
  error?: unknown
}

async function readOrLoad<Value>(reader: Reader<Value>, request: ReadRequest<Value>, progress: Progress<Value>) {
  const { flight, captured, error } = progress
  const { onEvent } = reader
  try {
    const found = await (error ? Promise.reject(error) : find(reader, request, progress)).catch((cause) =>
      onEvent?.('redis-error', { error: cause }),
    )
    if (found && 'source' in found) return found
    if (found && 'promise' in found) return await follow(reader, flight, found)
    const loaded = found && (await loadUnder(reader, request, { lease: found, flight, captured }))
    if (!loaded) return await goAround(reader, request, flight)
    onEvent?.('miss')
    return loaded
  } finally {
    end(reader, request.id, flight)
  }
}

async function goAround<Value>(reader: Reader<Value>, request: ReadRequest<Value>, flight: Flight<Value>) {
  const other = enterLoading(reader, request, flight)
  return other ? follow(reader, flight, other) : bypass(reader, request, flight)
}

/** The answer, the lease to load it, or the flight that loads it; undefined when the wait for another process took too long. */
type Found<Value> = CacheResult<Value> | Lease | Followed<Value> | undefined

async function find<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  progress: Progress<Value>,
): Promise<Found<Value>> {
  const { bytes, captured } = progress
  if (bytes === null || reader.clock.isDue()) return obtain(reader, request, progress)
  const [present, stamps] = bytes ? [bytes] : await readTagged(reader, request, progress.flight)
  if (!present) return obtain(reader, request, progress)
  const result = await serve(reader, request, { bytes: present, captured, stamps })
  return result ?? obtain(reader, request, progress, tokenOf(present))
}

/** The value and the stamps of its tags in one round trip. The stamps are asked for first, so the answer is as old as they are. */
async function readTagged<Value>(
  { guard, keys, look, order, tags }: Reader<Value>,
  request: ReadRequest<Value>,
  flight: Flight<Value>,
) {
  flight.asOf = ++order.count
  flight.isAsked = true
  const stamps = guard(() => tags.read(request.tags))
  return Promise.all([look(keys.value.key(request.id), { isAsked: false, asOf: 0 }), stamps])
}

/** Until there is a usable value, or the lease, or patience ends. */
async function obtain<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  { flight, captured }: Progress<Value>,
  unusable: Buffer | '' = '',
): Promise<Found<Value>> {
  const { id } = request
  const other = enterLoading(reader, request, flight)
  if (other) return other
  const untilMs = performance.now() + reader.waitMs
  for (let seen = unusable; performance.now() < untilMs; ) {
    flight.asOf = ++reader.order.count
    const answer = await askForLease(reader, id, seen)
    if (answer.status === 'leased') return answer.lease
    if (answer.status === 'held') request.onWait?.()
    const wait = { seen, untilMs, question: flight }
    const bytes =
      answer.status === 'value' ? answer.bytes : await untilFilled(reader, id, { ...wait, leftMs: answer.leftMs })
    const result = bytes && (await serve(reader, request, { bytes, captured }))
    if (result) return result
    if (bytes) seen = tokenOf(bytes)
  }
  reader.onEvent?.('wait-timeout')
  return undefined
}

interface FoundBytes {
  bytes: Buffer
  captured: number
  /** Present stamps, as far as they were read along. */
  stamps?: Stamps
}

/** The answer that bytes from Redis allow, if any. */
async function serve<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  { bytes, captured, stamps }: FoundBytes,
): Promise<CacheResult<Value> | undefined> {
  const record = reader.records.read(bytes)
  if (!record) return void reader.onEvent?.('unreadable')
  const isTagged = record.stamps.length > 0 || request.tags.length > 0
  if (isTagged && !(await hasCurrentTags(reader, record, request.tags, stamps))) {
    return void reader.onEvent?.('tag-mismatch')
  }
  return answer(reader, request, record, captured)
}

/** Of a value that may be served, fresh or stale; a stale one, and now and then a fresh one, is refreshed behind it. */
function answer<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  record: CachedRecord<Value>,
  captured: number,
): CacheResult<Value> {
  const { value, freshMs, token } = record
  const source = freshMs > 0 ? 'hit' : 'stale'
  if (freshMs <= earlyMs(reader, record)) behind(reader, refresh(reader, request, token))
  if (source === 'hit') keepCopy(reader, request.id, record, captured)
  reader.onEvent?.(source)
  return { value, source }
}

async function hasCurrentTags<Value>(
  { guard, tags }: Reader<Value>,
  { stamps }: CachedRecord<Value>,
  wanted: readonly string[],
  known?: Stamps,
): Promise<boolean> {
  const names = stamps.map(([tag]) => tag)
  const present = known && names.every((tag) => known.has(tag)) ? known : await guard(() => tags.read(names))
  return areCurrent(stamps, wanted, present)
}
