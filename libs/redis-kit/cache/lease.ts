/**
 * The lease protocol (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013) in terms of Redis: whoever misses takes a
 * lease and loads, everybody else waits, and a value is stored only under a lease that is still valid. An invalidation
 * deletes the lease and thereby voids every load in flight.
 *
 * A lease, and not a version counter: when memory pressure evicts a lease, the fill is refused. An evicted counter
 * compares as `nil == nil` and lets a stale value in.
 */
import type { Redis } from '../connection/connection.ts'
import { script } from '../script.ts'
import type { Announcements } from './announcements.ts'
import type { CacheKeys } from './cache-keys.ts'
import { newToken } from './envelope.ts'

type LeaseReply = [state: 0 | 1 | 2, nowMs: number, leftMs: number, value: Buffer]

const getOrLease = script<LeaseReply>(new URL('./get-or-lease.lua', import.meta.url), {
  effect: 'idempotent',
  binary: true,
})
const fill = script<0 | 1>(new URL('./fill.lua', import.meta.url))
const release = script<0 | 1>(new URL('./release.lua', import.meta.url))
const invalidate = script<number>(new URL('./invalidate.lua', import.meta.url), { effect: 'idempotent' })
const claim = script<number>(new URL('./claim.lua', import.meta.url))
const settle = script<0 | 1>(new URL('./settle.lua', import.meta.url))

/** The right to load one id and to store what was loaded. */
export interface Lease {
  id: string
  token: Buffer
  /** When it was given, by the server's clock. */
  grantedAtMs: number
}

export type Answer =
  | { status: 'value'; bytes: Buffer }
  | { status: 'leased'; lease: Lease }
  | { status: 'held'; leftMs: number }

export interface LeaseOptions {
  keys: CacheKeys
  announcements: Announcements
  leaseMs: number
  /** Hears the server's clock, and when it was asked and answered by ours. */
  onServerTime(serverMs: number, sentAtMs: number, receivedAtMs: number): void
}

export type Leases = ReturnType<typeof createLeases>

export function createLeases(redis: Redis, { keys, announcements, leaseMs, onServerTime }: LeaseOptions) {
  const keysOf = (id: string) => [keys.value.key(id), keys.lease.key(id)]
  const { scriptChannel, announce } = announcements

  return {
    /** Reads the value, or takes the lease. `seen` is the token of a value that will not do. */
    async getOrLease(id: string, seen: Buffer | '', token = newToken()): Promise<Answer> {
      const sentAtMs = performance.now()
      const [state, nowMs, leftMs, bytes] = await getOrLease(redis, keysOf(id), [token, leaseMs, seen])
      onServerTime(nowMs, sentAtMs, performance.now())
      if (state === 0) return { status: 'value', bytes }
      if (state === 1) return { status: 'leased', lease: { id, token, grantedAtMs: nowMs } }
      return { status: 'held', leftMs }
    },

    /** Is there a value, and does anybody hold the lease? Changes nothing: this is how waiting is done. */
    async peek(id: string): Promise<{ bytes: Buffer | null; isHeld: boolean }> {
      const [bytes = null, holder = null] = await redis.mgetBuffer(keysOf(id))
      return { bytes, isHeld: holder !== null }
    },

    /** False: the lease had ended, nothing was stored. */
    async fill({ id, token }: Lease, envelope: Buffer, keepMs: number): Promise<boolean> {
      return (await fill(redis, keysOf(id), [token, envelope, Math.ceil(keepMs)])) === 1
    },

    /** Lets others load at once, or after `pauseMs`. */
    async release({ id, token }: Lease, pauseMs = 0): Promise<void> {
      await release(redis, [keys.lease.key(id)], [token, Math.ceil(pauseMs)])
    },

    async invalidate(id: string): Promise<void> {
      await invalidate(redis, keysOf(id), [scriptChannel, `k${id}`])
      await announce(`k${id}`)
    },

    /** The lease of a writer, taken from whoever has it. */
    async claim(id: string): Promise<Lease> {
      const token = newToken()
      return { id, token, grantedAtMs: await claim(redis, [keys.lease.key(id)], [token, leaseMs]) }
    },

    /** False: another writer was there in between, and the value is forgotten instead of stored. */
    async settle({ id, token }: Lease, envelope: Buffer, keepMs: number): Promise<boolean> {
      const message = `k${id}`
      const isStored = await settle(redis, keysOf(id), [token, envelope, Math.ceil(keepMs), scriptChannel, message])
      await announce(message)
      return isStored === 1
    },
  }
}
