/** What a cache is made of, and what it can do. */
import type { Breaker, BreakerState } from '../circuit-breaker/circuit-breaker.ts'
import type { Subscriber } from '../connection/connection.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { type CacheKeys, MAX_LEASE_MS } from './cache-keys.ts'
import type { Codec } from './codec.ts'
import type { CopiesOff } from './coherence.ts'
import type { CacheResult, OnEvent } from './events.ts'
import type { LocalLimits } from './local.ts'
import type { PutResult } from './write-through.ts'

export interface LocalOptions extends LocalLimits {
  /** Hears the invalidations of other processes. */
  subscriber: Subscriber
  /** A copy is never older than this, nor than freshness in Redis. @default 30_000 */
  ttlMs?: number
}

export interface CacheOptions<Value> {
  keys: CacheKeys
  /** Fresh for so long, +-10 % so that what was filled together does not expire together. */
  ttlMs: number
  /** After that, served stale for so long while one process refreshes; +-10 %. @default ttlMs */
  staleMs?: number
  /** How long "there is no such thing" is believed. @default 5_000 */
  negativeTtlMs?: number
  /** The longest a load may take; when its process dies, another one loads after this at the latest. @default 3_000 */
  leaseMs?: number
  /** How long a read waits for another process's load before it goes to the source itself. @default 2 * leaseMs */
  waitMs?: number
  /** How long one answer of Redis is waited for. @default 50 */
  deadlineMs?: number
  /** Stops asking a Redis that keeps failing; share one among the caches of one Redis. @default one of its own */
  breaker?: Pick<Breaker, 'run' | 'state'>
  /** Loads that this process runs at once. @default 16 */
  maxLoadCount?: number
  /** Loads that wait for a place; more are refused with LoaderOverloaded. @default 1_000 */
  maxQueuedCount?: number
  /** Copies in this process's memory. @default none */
  local?: LocalOptions
  /** @default JSON */
  codec?: Codec<Value>
  /** Encoded values above this are compressed (zstd). @default 32 KiB */
  compressAboveBytes?: number
  /** Encoded values above this are refused with ValueTooLarge. @default 1 MiB */
  maxValueBytes?: number
  /** To be raised when Value changes its shape: values of other versions count as missing. Up to 65,535. @default 1 */
  schemaVersion?: number
  /** How eager early refreshes are (XFetch); 0 turns them off. @default 1 */
  beta?: number
  /** Counters and logs. Called synchronously for every read. */
  onEvent?: OnEvent
}

/** A string of Redis. */
const MAX_VALUE_BYTES = 512 * 2 ** 20

/** Throws a RangeError that names the option. */
export function checkOptions<Value>(options: CacheOptions<Value>): void {
  const owner = `cache ${options.keys.value.pattern}`
  checkNumbers(owner, options, {
    ttlMs: { min: 1 },
    staleMs: { min: 0 },
    negativeTtlMs: { min: 1 },
    leaseMs: { min: 1, max: MAX_LEASE_MS },
    waitMs: { min: 0, max: MAX_TIMER_MS },
    deadlineMs: { min: 1, max: MAX_TIMER_MS },
    maxLoadCount: { min: 1, isWhole: true },
    maxQueuedCount: { min: 0, isWhole: true },
    compressAboveBytes: { min: 0, isWhole: true },
    maxValueBytes: { min: 1, max: MAX_VALUE_BYTES, isWhole: true },
    schemaVersion: { min: 0, max: 0xffff, isWhole: true },
    beta: { min: 0 },
  })
  if (options.local) {
    const counted = { min: 1, isWhole: true }
    checkNumbers(`${owner}, local`, options.local, { ttlMs: { min: 1 }, maxEntryCount: counted, maxBytes: counted })
  }
}

/** Undefined: there is no such thing, which is worth remembering too. The signal is aborted when the load takes too long. */
export type Load<Value> = (signal: AbortSignal) => Promise<Value | undefined>
/** What is not in the answer does not exist. */
export type LoadMany<Value> = (ids: readonly string[], signal: AbortSignal) => Promise<ReadonlyMap<string, Value>>

export interface TagOptions {
  /** What `invalidateTag` reaches the value by; known before it is loaded, and the same at every call for the id. At most 200. */
  tags?: readonly string[]
}

export interface CacheStats {
  /** Loads that run, and that wait for a place. */
  runningCount: number
  queuedCount: number
  /** Copies in memory; their bytes as `maxBytes` counts them. */
  copyCount: number
  copyBytes: number
  breaker: BreakerState
  /** Whether copies are read and made: `none` when the cache was made without. */
  copies: 'none' | 'on' | 'off'
  /** Why they are off. */
  copiesOffReason?: CopiesOff
}

export interface Cache<Value> {
  /** The value. Throws what the loader throws, LoadTimeout, LoaderOverloaded, ValueTooLarge; never because of Redis. */
  get(id: string, load: Load<Value>, options?: TagOptions): Promise<CacheResult<Value>>
  /** The same with encoded bytes, passed through unparsed: those of `get`, if the loader encodes as the codec does. */
  getBytes(id: string, load: Load<Buffer>, options?: TagOptions): Promise<CacheResult<Buffer>>
  /** Several values by one question to Redis and at most one call of the loader. In the order of the ids. */
  many(ids: readonly string[], load: LoadMany<Value>, options?: TagOptions): Promise<Map<string, CacheResult<Value>>>
  /** Writes the source and the cache. Throws what `write` throws; never because of Redis. */
  put(id: string, write: () => Promise<Value | undefined>, options?: TagOptions): Promise<PutResult<Value>>
  /** After the commit. Once it resolves nobody is served the older value from Redis. Throws when Redis cannot be told. */
  invalidate(id: string): Promise<void>
  /** The same for all values that carry the tag, by one command. */
  invalidateTag(tag: string): Promise<void>
  /** How it is at this moment. */
  stats(): CacheStats
  /** Waits for refreshes under way. Neither the Redis nor the subscriber is closed. */
  close(): Promise<void>
}
