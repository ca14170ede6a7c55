/** Loading under a lease: for a caller who waits, or behind an answer that was stale. */
import { pause } from '../flow/pause.ts'
import { keepCopy } from './copies.ts'
import type { Stamp } from './envelope.ts'
import type { CacheResult } from './events.ts'
import type { Lease } from './lease.ts'
import { askForLease } from './obtain.ts'
import { behind, type Flight, type Reader, type ReadRequest } from './reader.ts'
import { areCurrent, type Stamps } from './tags.ts'

const MAX_PAUSE_MS = 1_000
const MAX_REFRESH_WAIT_MS = 100
const NO_STAMPS: readonly Stamp[] = []
const NO_TAGS: readonly string[] = []

export interface UnderLease<Value> {
  lease: Lease
  flight: Pick<Flight<Value>, 'asOf'>
  /** The coherence counter before Redis was asked. */
  captured: number
  /** When the load fails, nobody else may try for so long. @default 0 */
  pauseMs?: number
}

/**
 * Loads, and stores what was loaded unless it was invalidated meanwhile. Throws what the loader throws, and ValueTooLarge.
 * Undefined when Redis failed before the load, so that nothing could be stored.
 */
export async function loadUnder<Value>(
  reader: Reader<Value>,
  request: ReadRequest<Value>,
  { lease, flight, captured, pauseMs }: UnderLease<Value>,
): Promise<CacheResult<Value> | undefined> {
  const { guard, leases, order, onEvent } = reader
  const onRedisError = (error: unknown) => onEvent?.('redis-error', { error })
  const stamps = await stampsFor(reader, request).catch(onRedisError)
  if (!stamps) return void behind(reader, leases.release(lease))
  flight.asOf = ++order.count
  const record = await compose(reader, request, lease, stamps).catch((error) => {
    behind(reader, leases.release(lease, pauseMs))
    throw error
  })
  const endedAt = ++order.count
  // Without an answer it is stored or not, and both are right: whether it may be is decided by the lease, in Redis.
  const [isStored, present] = await guard(() =>
    Promise.all([leases.fill(lease, record.bytes, record.keepMs), readTags(reader, request.tags)]),
  ).catch((error) => [void onRedisError(error)])
  const isVoid = isStored === false || (present !== undefined && !areCurrent(stamps, NO_TAGS, present))
  if (isVoid) onEvent?.('void')
  else if (isStored) {
    flight.asOf = endedAt // not invalidated since the load began: also for reads that joined in between
    keepCopy(reader, request.id, record, captured)
  }
  return { value: record.value, source: 'miss' }
}

/** Around the cache: nothing is stored, and Redis does not tell what was invalidated meanwhile. */
export async function bypass<Value>(
  { records, order, onEvent }: Reader<Value>,
  request: ReadRequest<Value>,
  flight: Pick<Flight<Value>, 'asOf'>,
): Promise<CacheResult<Value>> {
  flight.asOf = ++order.count
  const value = await request.load()
  onEvent?.('bypass')
  return { value: records.copy(value), source: 'bypass' }
}

/** Loads anew what was served stale or nearly so: once at a time in this process, and by the lease once among all. */
export async function refresh<Value>(reader: Reader<Value>, request: ReadRequest<Value>, seen: Buffer): Promise<void> {
  const { refreshing, coherence, leaseMs, onEvent } = reader
  const { id } = request
  if (refreshing.has(id)) return
  refreshing.add(id)
  try {
    const captured = coherence.capture()
    const answer = await askForLease(reader, id, seen)
    if (answer.status === 'leased') {
      // A source that fails is left alone for a moment, or every reader of the stale value would try it again.
      const pauseMs = Math.min(leaseMs, MAX_PAUSE_MS)
      await loadUnder(reader, request, { lease: answer.lease, flight: { asOf: 0 }, captured, pauseMs })
    } else {
      request.onWait?.()
      if (answer.status === 'held') await pause(Math.min(answer.leftMs, MAX_REFRESH_WAIT_MS))
    }
  } catch (error) {
    onEvent?.('refresh-failed', { error })
  } finally {
    refreshing.delete(id)
  }
}

/** Read before the load begins: an invalidation of a tag from then on makes the value void. */
async function stampsFor<Value>({ guard, tags }: Reader<Value>, request: ReadRequest<Value>) {
  return request.tags.length > 0 ? guard(() => tags.stamp(request.tags)) : NO_STAMPS
}

/** After the load: a read that joined it after an invalidation of a tag must not get its value. */
async function readTags<Value>({ tags }: Reader<Value>, names: readonly string[]): Promise<Stamps | undefined> {
  return names.length > 0 ? tags.read(names) : undefined
}

async function compose<Value>(
  { records }: Reader<Value>,
  request: ReadRequest<Value>,
  lease: Lease,
  stamps: readonly Stamp[],
) {
  const startedAtMs = performance.now()
  const value = await request.load()
  const loadCostMs = performance.now() - startedAtMs
  return records.compose({ lease, value, loadCostMs, stamps })
}
