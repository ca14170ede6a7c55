/** What a read answers, and what happened on the way, for counters and logs. */

/** `miss`: loaded and stored. `bypass`: loaded around Redis, which was down, slow, or kept by another for too long. */
export type CacheSource = 'hit-local' | 'hit' | 'miss' | 'stale' | 'bypass'

export interface CacheResult<Value> {
  /** Undefined: the source says that there is no such thing. Shared between callers: not to be changed. */
  readonly value: Value | undefined
  readonly source: CacheSource
}

export type CacheEvent =
  /** A read was answered; those of joined reads count each. */
  | CacheSource
  /** The source was asked and answered / threw or took too long / was not asked, because too many loads run and wait. */
  | 'load'
  | 'load-failed'
  | 'load-refused'
  /** A read has waited for another process's load / for too long. */
  | 'wait'
  | 'wait-timeout'
  /** A loaded value was not stored: it was invalidated meanwhile, or its lease had ended. */
  | 'void'
  /** A refresh behind a stale answer failed. */
  | 'refresh-failed'
  /** What was written cannot be cached (too large, not encodable): it is invalidated instead. */
  | 'refused'
  /** What Redis has is of another schema version, or damaged / carries an old stamp of a tag. */
  | 'unreadable'
  | 'tag-mismatch'
  | 'invalidate'
  /** All copies in this process were dropped, because messages may have been missed / it cannot hear invalidations. */
  | 'local-flush'
  | 'local-error'
  /** Redis failed or was too slow; the read goes on without it. */
  | 'redis-error'

export interface CacheEventDetail {
  /** Of loads (without their wait for a place) and of waits. */
  durationMs?: number
  /** Why, of flushes. */
  reason?: string
  error?: unknown
}

/** Called synchronously, on the hot path too: count, and return. */
export type OnEvent = ((event: CacheEvent, detail?: CacheEventDetail) => void) | undefined
