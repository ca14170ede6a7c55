/** What the parts of a read (read-through.ts, obtain.ts, load.ts, copies.ts) have in common. */
import type { CacheKeys } from './cache-keys.ts'
import type { ServerClock } from './clock.ts'
import type { CoarseClock } from './coarse-clock.ts'
import type { Coherence } from './coherence.ts'
import type { CacheResult, OnEvent } from './events.ts'
import type { Guard } from './guard.ts'
import type { Leases } from './lease.ts'
import type { LocalStore } from './local.ts'
import type { Lookup, Question } from './lookup.ts'
import type { Records } from './records.ts'
import type { Tags } from './tags.ts'

/** Shared by all readers of a cache. */
export interface Core {
  keys: CacheKeys
  leases: Leases
  tags: Tags
  coarseClock: CoarseClock
  clock: ServerClock
  guard: Guard
  look: Lookup
  order: Order
  coherence: Coherence
  leaseMs: number
  waitMs: number
  localTtlMs: number
  beta: number
  onEvent: OnEvent
  /** Work that nobody waits for, except `close`. */
  background: Set<Promise<unknown>>
}

/** Reads values of one shape: there is one for objects and one for bytes. */
export interface Reader<Value> extends Core {
  records: Records<Value>
  store: LocalStore<CacheResult<Value>> | undefined
  /** Reads under way that others of the same id may join; at most one for each id. */
  flights: Map<string, Flight<Value>>
  /** Ids that this process refreshes behind a stale answer. */
  refreshing: Set<string>
}

/** Counts the questions to Redis and to the source of this process: what happened before what, without a clock. */
export interface Order {
  count: number
}

/** A read that others may join. Its answer is as new as its last question; a read that joined after that asks again. */
export interface Flight<Value> extends Question {
  /** Undefined once it has ended. */
  promise: Promise<CacheResult<Value>> | undefined
  /** It waits for another process's load, or loads: a read of the same id joins it rather than do the same. */
  isLoading: boolean
}

export interface ReadRequest<Value> {
  id: string
  tags: readonly string[]
  load(): Promise<Value | undefined>
  /** Called when this read comes to wait for a load that it has not started itself. */
  onWait?(): void
}

/** Does the work behind the caller's back; its failure is an event. */
export function behind({ background, onEvent }: Core, work: Promise<unknown>): void {
  const done = work.catch((error) => onEvent?.('redis-error', { error })).finally(() => background.delete(done))
  background.add(done)
}
