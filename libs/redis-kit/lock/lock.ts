/**
 * One at a time: of all processes, one holds the lock on a resource, for as long as it shows signs of life. With each lock
 * comes a fence, a number that only grows. Whoever is written to remembers the last one and refuses the ones before: that
 * is what makes it safe, for no lock with a time limit can stop a process that was asleep when its time ran out.
 */
import { randomUUID } from 'node:crypto'
import type { Redis } from '../connection/connection.ts'
import { fullJitterMs } from '../flow/backoff.ts'
import { pause } from '../flow/pause.ts'
import { type KeyFamily, keyFamily } from '../keys.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { script } from '../script.ts'
import { createHold, type Hold } from './hold.ts'

export { LockLost } from './hold.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

export interface LockKeys {
  /** String: the holder. Expires by itself when it does not prolong it. */
  lock: KeyFamily
  /** String: the last fence that was given out. */
  fence: KeyFamily
}

export interface LockKeyOptions {
  /** No lock is given for longer at a time, whatever `ttlMs` says. @default five minutes */
  longestMs?: number
  /**
   * How long the last fence is remembered after it was given out. Beyond that (and if Redis loses it) fences go on growing
   * by the server's clock; within it, even if that goes back. @default a day
   */
  fenceTtlMs?: number
}

/** `order:lock:cleanup:{<resource>}` and `order:fence:cleanup:{<resource>}`: one slot, so that one script sees both. */
export function lockKeys(service: string, name: string, options: LockKeyOptions = {}): LockKeys {
  const { longestMs = 5 * MINUTE_MS, fenceTtlMs = DAY_MS } = options
  const common = { service, type: 'string', role: 'state', example: ['all'] } as const
  return {
    lock: keyFamily({
      ...common,
      pattern: `${service}:lock:${name}:{<resource>}`,
      ttl: { ms: longestMs },
      doc: `the holder of the "${name}" lock on this resource`,
    }),
    fence: keyFamily({
      ...common,
      pattern: `${service}:fence:${name}:{<resource>}`,
      ttl: { ms: fenceTtlMs },
      doc: `the last fence that the "${name}" lock gave out, microseconds`,
    }),
  }
}

export interface LockOptions {
  keys: LockKeys
  /** The lock of a holder that has died is free after this. It is prolonged three times as often. @default 10_000 */
  ttlMs?: number
  /** It is not prolonged beyond this age: work that hangs must not hold it for ever. @default ten minutes */
  maxHoldMs?: number
  /** Hears what nobody waits for: a renewal that Redis refused, a release that did not get through. @default a warning of the process */
  onError?: (error: unknown) => void
}

export interface AcquireOptions {
  /** How long to wait for a lock that is taken. @default 0: not at all */
  waitMs?: number
  /** Ends the waiting: `acquire` then rejects with its reason. */
  signal?: AbortSignal
}

export interface Held {
  status: 'acquired'
  /** Greater than that of every holder before. To be written along: `UPDATE … SET fence = $1 WHERE … AND fence < $1`. */
  fence: number
  /** Aborted with LockLost when the lock is not certainly ours any more. For whatever can be cancelled. */
  signal: AbortSignal
  /** Throws LockLost. Before every step that must not happen twice. */
  assertValid(): void
  /** False when it was not ours any more. Rejects as any command; then it runs out by itself. */
  release(): Promise<boolean>
}

/** `retryAfterMs`: the lock is free by then if its holder has died, and may be much earlier or later if it lives. */
export interface Taken {
  status: 'taken'
  retryAfterMs: number
}

/** `lost`: the work was done, but for the end of it the lock was not certainly ours. */
export type Used<Value> = { status: 'done' | 'lost'; value: Value } | Taken

export interface Lock {
  /** Rejects while Redis is away, see errors.ts: then nobody knows whether the lock is free. */
  acquire(resource: string, options?: AcquireOptions): Promise<Held | Taken>
  /** Works while holding the lock and releases it afterwards, however the work ends. Rejects as `acquire` and `work` do. */
  using<Value>(
    resource: string,
    work: (held: Omit<Held, 'release'>) => Promise<Value>,
    options?: AcquireOptions,
  ): Promise<Used<Value>>
}

const FIRST_BACKOFF_MS = 50
const BACKOFF = { baseMs: FIRST_BACKOFF_MS, capMs: 1_000 }

// Each knows its holder, so that each may be sent again when its answer is lost.
const effect = { effect: 'idempotent' } as const
const acquireScript = script<[1, fence: string] | [0, leftMs: number]>(
  new URL('./acquire.lua', import.meta.url),
  effect,
)
const extendScript = script<0 | 1>(new URL('./extend.lua', import.meta.url), effect)
const releaseScript = script<0 | 1>(new URL('./release.lua', import.meta.url), effect)

/** Throws RangeError for times that do not fit the keys. */
export function createLock(redis: Redis, options: LockOptions): Lock {
  const { keys, ttlMs = 10_000, maxHoldMs = 10 * MINUTE_MS } = options
  const { onError = (error) => process.emitWarning(error instanceof Error ? error : String(error)) } = options
  const timer = { min: 1, max: MAX_TIMER_MS }
  checkNumbers(`lock ${keys.lock.pattern}`, options, { ttlMs: timer, maxHoldMs: timer })
  const { longestMs, fenceTtlMs } = requireTimes(keys, ttlMs)

  async function acquire(resource: string, { waitMs = 0, signal }: AcquireOptions = {}): Promise<Held | Taken> {
    checkNumbers(`lock ${keys.lock.pattern}`, { waitMs }, { waitMs: { min: 0 } })
    const deadlineMs = performance.now() + waitMs
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      const answer = await tryOnce(resource)
      if (answer.status === 'acquired') return answer
      const leftMs = deadlineMs - performance.now()
      if (leftMs <= 0) return answer
      // Not later than the end of a holder that has died, and in no step with the others who wait.
      const backoffMs = FIRST_BACKOFF_MS + fullJitterMs(attempt, BACKOFF)
      await pause(Math.min(backoffMs, answer.retryAfterMs, leftMs), signal) // an abort is seen at the top
    }
  }
  async function tryOnce(resource: string): Promise<Held | Taken> {
    const [lock, fence] = [keys.lock.key(resource), keys.fence.key(resource)]
    const holder = randomUUID()
    const release = async () => (await releaseScript(redis, [lock], [holder])) === 1
    const sentMs = performance.now()
    const reply = await acquireScript(redis, [lock, fence], [holder, ttlMs, fenceTtlMs, longestMs])
    if (reply[0] === 0) return { status: 'taken', retryAfterMs: reply[1] }
    const extend = async () => (await extendScript(redis, [lock], [holder, ttlMs])) === 1
    const hold = createHold({ resource, ttlMs, maxHoldMs, sentMs, extend, onError })
    if (hold.remainingMs() > 0) return heldBy(hold, Number(reply[1]), release)
    hold.end() // the answer took longer than the lock lasts
    return { status: 'taken', retryAfterMs: (await release()) ? 1 : ttlMs }
  }
  async function using<Value>(
    resource: string,
    work: (held: Omit<Held, 'release'>) => Promise<Value>,
    acquireOptions?: AcquireOptions,
  ): Promise<Used<Value>> {
    const held = await acquire(resource, acquireOptions)
    if (held.status === 'taken') return held
    try {
      const value = await work(held)
      return { status: isValid(held) ? 'done' : 'lost', value }
    } finally {
      await held.release().catch(onError) // it runs out by itself
    }
  }

  return { acquire, using }
}

function heldBy(hold: Hold, fence: number, releaseInRedis: () => Promise<boolean>): Held {
  let released: Promise<boolean> | undefined
  return {
    status: 'acquired',
    fence,
    signal: hold.signal,
    assertValid: hold.assertValid,
    release: () => {
      hold.end()
      released ??= releaseInRedis()
      return released
    },
  }
}

function isValid(held: Held): boolean {
  try {
    held.assertValid()
    return true
  } catch {
    return false
  }
}

function requireTimes({ lock, fence }: LockKeys, ttlMs: number) {
  const longestMs = 'ms' in lock.ttl ? lock.ttl.ms : Number.NaN
  const fenceTtlMs = 'ms' in fence.ttl ? fence.ttl.ms : Number.NaN
  if (ttlMs > 0 && ttlMs <= longestMs && longestMs <= fenceTtlMs) return { longestMs, fenceTtlMs }
  throw new RangeError(`0 < ttlMs <= ${longestMs} <= ${fenceTtlMs} must hold, but ttlMs is ${ttlMs}`)
}
