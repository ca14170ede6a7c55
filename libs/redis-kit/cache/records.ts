/** A value with its lifetimes, to and from the bytes that Redis keeps. */
import { about } from '../flow/jitter.ts'
import type { ServerClock } from './clock.ts'
import type { Codec, Packing } from './codec.ts'
import { codecIdOf, type Envelope, open, type Stamp, seal } from './envelope.ts'
import type { Lease } from './lease.ts'

/** What was filled together does not expire together. */
export const JITTER = 0.1

export interface Lifetimes {
  ttlMs: number
  staleMs: number
  negativeTtlMs: number
  schemaVersion: number
}

export interface CachedRecord<Value> {
  /** Undefined: the source has no such thing. */
  value: Value | undefined
  token: Buffer
  stamps: readonly Stamp[]
  loadCostMs: number
  /** Fresh for so long from now; stale when not positive. */
  freshMs: number
  /** Encoded and not compressed. */
  sizeBytes: number
}

export interface Composed<Value> extends CachedRecord<Value> {
  bytes: Buffer
  /** How long Redis is to keep the bytes. */
  keepMs: number
}

export interface Loaded<Value> {
  lease: Lease
  value: Value | undefined
  loadCostMs: number
  stamps: readonly Stamp[]
}

export interface RecordsOptions<Value> {
  codec: Codec<Value>
  packing: Packing
  clock: ServerClock
  lifetimes: Lifetimes
}

export type Records<Value> = ReturnType<typeof createRecords<Value>>

export function createRecords<Value>({ codec, packing, clock, lifetimes }: RecordsOptions<Value>) {
  const expected = { schemaVersion: lifetimes.schemaVersion, codecId: codecIdOf(codec.name) }

  /** What to store. Its `value` is what a reader will get, not what the loader gave: the two may differ (dates in JSON). */
  function compose({ lease, value, loadCostMs, stamps }: Loaded<Value>): Composed<Value> {
    const encoded = value === undefined ? EMPTY : codec.encode(value)
    const isNegative = value === undefined
    const softTtlMs = about(isNegative ? lifetimes.negativeTtlMs : lifetimes.ttlMs, JITTER)
    const packed = packing.pack(lease.id, encoded)
    const envelope: Envelope = {
      ...packed,
      ...expected,
      createdAtMs: lease.grantedAtMs,
      softTtlMs,
      loadCostMs,
      token: lease.token,
      isNegative,
      stamps,
    }
    return {
      ...record(envelope, encoded),
      bytes: seal(envelope),
      keepMs: softTtlMs + (isNegative ? 0 : about(lifetimes.staleMs, JITTER)),
    }
  }

  /** Undefined when the bytes make no sense to this release. */
  function read(bytes: Buffer): CachedRecord<Value> | undefined {
    const envelope = open(bytes, expected)
    if (!envelope) return undefined
    try {
      return record(envelope, packing.unpack(envelope))
    } catch {
      return undefined
    }
  }

  function record(envelope: Envelope, encoded: Buffer): CachedRecord<Value> {
    const { token, stamps, loadCostMs, isNegative } = envelope
    const freshMs = envelope.createdAtMs + envelope.softTtlMs - clock.nowMs()
    const value = isNegative ? undefined : codec.decode(encoded)
    return { value, token, stamps, loadCostMs, freshMs, sizeBytes: encoded.length }
  }

  /** A value that goes around the cache, in the shape that it would have had coming out of it. */
  const copy = (value: Value | undefined) => (value === undefined ? undefined : codec.decode(codec.encode(value)))

  return { compose, read, copy }
}

const EMPTY = Buffer.alloc(0)
