/** What the parts of a read (read-through.ts, obtain.ts, load.ts, copies.ts) have in common. */
import type { CacheKeys } from './cache-keys.ts'
import type { ServerClock } from './clock.ts'
import type { CoarseClock } from './coarse-clock.ts'
import type { Coherence } from './coherence.ts'
import type { CacheResult, OnEvent } from './events.ts'
import type { Guard } from './guard.ts'
import type { Leases } from './lease.ts'
import type { LocalStore } from './local.ts'
import type { Lookup } from './lookup.ts'
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
  /** Reads under way, for others of the same id to join. */
  flights: Map<string, Flight<Value>>
  /** Ids that this process refreshes behind a stale answer. */
  refreshing: Set<string>
}

export interface Flight<Value> {
  /** Undefined once it has landed. */
  promise: Promise<CacheResult<Value>> | undefined
  /** Invalidated while it was loaded: right for who came first, perhaps too old for who joined later. */
  isVoid: boolean
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
