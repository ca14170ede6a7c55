/** The parts of a cache, put together from its options. */
import { createBreaker } from '../circuit-breaker/circuit-breaker.ts'
import type { Redis } from '../connection/connection.ts'
import { isRedisOutage } from '../errors.ts'
import { createAnnouncements } from './announcements.ts'
import { createServerClock } from './clock.ts'
import { createCoarseClock } from './coarse-clock.ts'
import { bytesCodec, copiedBytesCodec, createPacking, jsonCodec } from './codec.ts'
import { createCoherence } from './coherence.ts'
import { createGuard } from './guard.ts'
import { createLeases } from './lease.ts'
import { createLookup } from './lookup.ts'
import { type CacheOptions, checkOptions } from './options.ts'
import type { Core } from './reader.ts'
import { createRecords, JITTER, type Lifetimes } from './records.ts'
import { createTags } from './tags.ts'

/** Throws a RangeError for numbers that make no sense and for lifetimes that the declared keys do not allow. */
export function createCore<Value>(redis: Redis, options: CacheOptions<Value>) {
  checkOptions(options)
  const { keys, local, leaseMs = 3_000, waitMs = 2 * leaseMs, deadlineMs = 50, beta = 1, onEvent } = options
  const lifetimes = lifetimesOf(options)
  const coarseClock = createCoarseClock()
  const clock = createServerClock(coarseClock)
  const ownBreaker = options.breaker ? undefined : createOwnBreaker(keys.value.pattern)
  const channel = keys.invalidations.key()
  const announcements = createAnnouncements(redis, channel)
  const { publish } = announcements
  const coherence = createCoherence({ subscriber: local?.subscriber, channel, publish, coarseClock, onEvent })
  const breaker = options.breaker ?? (ownBreaker as NonNullable<typeof ownBreaker>)
  const guard = createGuard({ breaker, deadlineMs })
  const order = { count: 0 }
  const core: Core = {
    keys,
    coarseClock,
    clock,
    coherence,
    leases: createLeases(redis, { keys, announcements, leaseMs, onServerTime: clock.observe }),
    tags: createTags(redis, keys, announcements),
    guard,
    look: createLookup(redis, { guard, order }),
    order,
    leaseMs,
    waitMs,
    localTtlMs: local?.ttlMs ?? 30_000,
    beta,
    onEvent,
    background: new Set(),
  }
  const { codec = jsonCodec<Value>(), maxValueBytes = 2 ** 20, compressAboveBytes = 2 ** 15 } = options
  const common = { packing: createPacking({ maxValueBytes, compressAboveBytes }), clock, lifetimes }

  async function close() {
    while (core.background.size > 0) await Promise.allSettled([...core.background])
    ownBreaker?.close()
    await coherence.close()
  }
  return {
    core,
    breaker,
    objects: createRecords({ ...common, codec }),
    bytes: createRecords({ ...common, codec: { ...(local ? copiedBytesCodec : bytesCodec), name: codec.name } }),
    close,
  }
}

/** Quick to trip and quick to try again: going around a cache is no disaster, and neither is asking it once a second. */
function createOwnBreaker(pattern: string) {
  return createBreaker({ name: `cache ${pattern}`, isFailure: isRedisOutage, windowMs: 2_000, openMs: 1_000 })
}

function lifetimesOf<Value>(options: CacheOptions<Value>): Lifetimes {
  const { keys, ttlMs, staleMs = ttlMs, negativeTtlMs = Math.min(5_000, ttlMs), schemaVersion = 1 } = options
  const longestMs = Math.max(ttlMs + staleMs, negativeTtlMs) * (1 + JITTER)
  const declaredMs = 'ms' in keys.value.ttl ? keys.value.ttl.ms : Number.POSITIVE_INFINITY
  if (longestMs > declaredMs) {
    throw new RangeError(
      `${keys.value.pattern} may live for ${declaredMs} ms, but its values need up to ${longestMs} ms`,
    )
  }
  return { ttlMs, staleMs, negativeTtlMs, schemaVersion }
}
