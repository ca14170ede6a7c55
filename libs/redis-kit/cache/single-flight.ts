/**
 * The reads of one id in this process share an answer, so far as it is not older than they are.
 *
 * A read may be answered by a question to Redis that was sent after the read began, by a load that began after it, or by a load
 * that was stored under its lease after it (an invalidation in between would have taken the lease away). Nothing else shows that
 * no invalidation resolved before the read began: the answer of a question already sent may be older, and a load around Redis
 * may have begun before the write. Such a read waits for the load to end and then takes part in the next one.
 *
 *     gathering ── the turn of the event loop ends ──> asked ── value ──────────────────────> ended
 *     (joined)                                         (not joined: the answer may be old)
 *                                                        └── none, or Redis fails ──> loading ──> ended
 *                                                                                     (joined, and checked at its end)
 */
import type { CacheResult } from './events.ts'
import type { Flight, Reader, ReadRequest } from './reader.ts'

export type Share<Value> = (request: ReadRequest<Value>) => Promise<CacheResult<Value>>

export function createSingleFlight<Value>(
  { flights, order, onEvent }: Pick<Reader<Value>, 'flights' | 'order' | 'onEvent'>,
  perform: (request: ReadRequest<Value>, flight: Flight<Value>) => Promise<CacheResult<Value>>,
): Share<Value> {
  return (request) => share(request, order.count)

  /**
   * Joins the read of this id that is under way, or performs one. `since`: the order's count when the read began. A read that has
   * to ask again waits for one more at most: all that it can join from then on asks after it began.
   */
  function share(request: ReadRequest<Value>, since: number): Promise<CacheResult<Value>> {
    const running = flights.get(request.id)
    if (running !== undefined && (running.isLoading || !running.isAsked)) {
      request.onWait?.()
      return join(request, since, running)
    }
    const flight: Flight<Value> = { promise: undefined, isAsked: false, isLoading: false, asOf: 0 }
    flights.set(request.id, flight)
    const promise = perform(request, flight)
    flight.promise = promise
    return promise
  }

  async function join(request: ReadRequest<Value>, since: number, running: Flight<Value>) {
    const result = await (running.promise as Promise<CacheResult<Value>>)
    if (running.asOf <= since) return share(request, since)
    onEvent?.(result.source)
    return result
  }
}

/** Another flight, and its answer. The answer is taken at once, because a flight lets go of it at its end. */
export interface Followed<Value> {
  other: Flight<Value>
  promise: Promise<CacheResult<Value>>
}

/**
 * Before a flight loads or waits for a load: another flight of the id that does so already, to be followed instead. It began to
 * load after this flight began, because a read that finds a flight loading joins it.
 */
export function enterLoading<Value>(
  { flights }: Reader<Value>,
  { id, onWait }: ReadRequest<Value>,
  flight: Flight<Value>,
): Followed<Value> | undefined {
  const other = flights.get(id)
  if (other?.isLoading && other !== flight) {
    onWait?.()
    return { other, promise: other.promise as Promise<CacheResult<Value>> }
  }
  flight.isLoading = true
  flights.set(id, flight)
  return undefined
}

/** The answer of another flight, as new as it is there. */
export async function follow<Value>(
  reader: Reader<Value>,
  flight: Flight<Value>,
  { other, promise }: Followed<Value>,
): Promise<CacheResult<Value>> {
  const result = await promise
  flight.asOf = other.asOf
  reader.onEvent?.(result.source)
  return result
}

/**
 * No read joins from now on. The promise is let go of: a Map that is filled and emptied all the time leaves its outgrown tables
 * behind, each points to the next, and one of them in the old generation kept alive what every later one had held. (Measured:
 * half of all values survived a minor collection, which then took 15 ms instead of 1.)
 */
export function end<Value>({ flights }: Reader<Value>, id: string, flight: Flight<Value>): void {
  flight.promise = undefined
  if (flights.get(id) === flight) flights.delete(id)
}
