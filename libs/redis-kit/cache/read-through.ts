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
import { areCurrent, type Stamps } from './tags.ts'

/** How often a read joins loads that turn out to be void before it loads for itself. */
const MAX_JOIN_COUNT = 3

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
  // Whoever asks after an invalidation must not join a read that began before it.
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
    read: (request) => read(reader, request, 0),
  }
}

/** Single-flight: the reads of one id in this process that come while one is under way share its answer. */
function read<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  joinCount: number,
): Promise<CacheResult<Value>> {
  const running = reader.flights.get(request.id)
  if (running) {
    request.onWait?.()
    return join(reader, request, running, joinCount)
  }
  const flight: Flight<Value> = { promise: undefined, isVoid: false }
  reader.flights.set(request.id, flight)
  const promise = fly(reader, request, flight)
  flight.promise = promise
  return promise
}

async function join<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  flight: Flight<Value>,
  joinCount: number,
) {
  const result = await (flight.promise as Promise<CacheResult<Value>>)
  if (flight.isVoid) return joinCount < MAX_JOIN_COUNT ? read(reader, request, joinCount + 1) : bypass(reader, request)
  reader.onEvent?.(result.source)
  return result
}

/** The common case, an untagged value that is there, in as few steps as it can be done; all else in `goOn`. */
function fly<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  flight: Flight<Value>,
): Promise<CacheResult<Value>> {
  const { clock, coherence, look } = reader
  const captured = coherence.capture()
  const key = keyOf(reader, request)
  if (key instanceof Error) {
    land(reader, request.id, flight)
    return Promise.reject(key)
  }
  // Without the server's clock nobody can say what is fresh: the script says it along with the value.
  if (clock.isDue() || request.tags.length > 0) return goOn(reader, request, { flight, captured })
  return look(key).then(
    (bytes) => {
      const record = bytes ? reader.records.read(bytes) : undefined
      if (!record || record.stamps.length > 0) return goOn(reader, request, { flight, captured, bytes })
      land(reader, request.id, flight)
      return answer(reader, request, record, captured)
    },
    (error) => goOn(reader, request, { flight, captured, error }),
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

async function goOn<Value>(reader: Reader<Value>, request: ReadRequest<Value>, progress: Progress<Value>) {
  const { flight, captured, error } = progress
  const { onEvent } = reader
  try {
    const found = await (error ? Promise.reject(error) : find(reader, request, progress)).catch((cause) =>
      onEvent?.('redis-error', { error: cause }),
    )
    if (found && 'source' in found) return found
    const loaded = found && (await loadUnder(reader, request, { lease: found, flight, captured }))
    if (!loaded) return await bypass(reader, request)
    onEvent?.('miss')
    return loaded
  } finally {
    land(reader, request.id, flight)
  }
}

/**
 * Nobody joins any more. The promise is let go of: a Map that is filled and emptied all the time leaves its outgrown tables
 * behind, each points to the next, and one of them in the old generation kept what every later one had held alive. (Measured:
 * half of all values survived a minor collection, which then took 15 ms instead of 1.)
 */
function land<Value>({ flights }: Reader<Value>, id: string, flight: Flight<Value>): void {
  flight.promise = undefined
  if (flights.get(id) === flight) flights.delete(id)
}

/** The answer, or the lease to load it; undefined when the wait for another's load took too long. */
async function find<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  { bytes, captured }: Progress<Value>,
): Promise<CacheResult<Value> | Lease | undefined> {
  const { clock, guard, keys, look, tags } = reader
  if (bytes === null || clock.isDue()) return obtain(reader, request, captured)
  const read = () => Promise.all([look(keys.value.key(request.id)), guard(() => tags.read(request.tags))])
  const [present, stamps] = bytes ? [bytes] : await read()
  if (!present) return obtain(reader, request, captured)
  const result = await serve(reader, request, { bytes: present, captured, stamps })
  return result ?? obtain(reader, request, captured, tokenOf(present))
}

/** Until there is a usable value, or the lease, or patience ends. */
async function obtain<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  captured: number,
  unusable: Buffer | '' = '',
): Promise<CacheResult<Value> | Lease | undefined> {
  const { id } = request
  const untilMs = performance.now() + reader.waitMs
  for (let seen = unusable; performance.now() < untilMs; ) {
    const answer = await askForLease(reader, id, seen)
    if (answer.status === 'leased') return answer.lease
    if (answer.status === 'held') request.onWait?.()
    const bytes =
      answer.status === 'value' ? answer.bytes : await untilFilled(reader, id, { seen, leftMs: answer.leftMs, untilMs })
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
