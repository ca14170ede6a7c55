/** What every algorithm promises, on one server, on a Cluster, and as a Redis user with the rights of its keys only. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Topology, testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aclFile } from '../acl/acl.ts'
import { type Redis as Connection, closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { plant } from '../damage.fixture.ts'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
import { createRateLimit, type Decision, type RateLimitOptions, rateLimitKeys } from './rate-limit.ts'

const HOUR_MS = 3_600_000

interface Place {
  url: string
  /** The owner of the keys. */
  service(): string
}

/** `acl`: a user who owns keys of this algorithm, and no others. */
async function placeOf(topology: Topology | 'acl', algorithm: Algorithm): Promise<Place> {
  if (topology !== 'acl') {
    const server = await testRedis({ topology })
    return { url: server.url, service: () => server.namespace() }
  }
  const [user, password, adminPassword] = [`only-${algorithm}`, randomUUID(), randomUUID()]
  const keys = rateLimitKeys(user, 'thing', 'cache', { algorithm, maxPeriodMs: 40 * 24 * HOUR_MS })
  const server = await startRedis({
    username: 'admin',
    password: adminPassword,
    acl: `${aclFile('cache', Object.values(keys), { [user]: password })}user admin on >${adminPassword} allkeys allchannels allcommands\n`,
  })
  afterAll(() => server.stop())
  return { url: Object.assign(new URL(server.url), { username: user, password }).href, service: () => user }
}

/** A period whose window began a while ago and ends much later than a test takes. */
function calmPeriodMs(): number {
  const nowMs = Date.now()
  const isCalm = (periodMs: number) => nowMs % periodMs > 0.1 * periodMs && nowMs % periodMs < 0.6 * periodMs
  for (let periodMs = HOUR_MS; ; periodMs += 60_000) if (isCalm(periodMs)) return periodMs
}

const repeat = <Value>(times: number, work: (i: number) => Promise<Value>) =>
  Promise.all(Array.from({ length: times }, (_, i) => work(i)))

const admittedOf = (decisions: Decision[]) => decisions.filter(({ allowed }) => allowed).length

/** Not before: a timer of Node may fire a fraction of a millisecond early. */
async function wait(ms: number) {
  const endMs = performance.now() + ms
  while (performance.now() < endMs) await sleep(Math.max(1, endMs - performance.now()))
}

describe.each(['standalone', 'cluster', 'acl'] as const)('on Redis, %s', (topology) => {
  describe.each(ALGORITHMS)('%s', async (algorithm) => {
    const place = await placeOf(topology, algorithm)
    let redis: Connection
    beforeAll(async () => {
      redis = connectRedis(place.url, { name: 'test', commandTimeoutMs: 5_000 })
      await whenReady(redis, 10_000)
    })
    afterAll(() => closeRedis(redis))

    /** Five at once, and an id of its own. Each `fresh` is a process of its own: it remembers no denial. */
    function setUp(options: Partial<RateLimitOptions> = {}) {
      const keys = rateLimitKeys(place.service(), 'thing', 'cache', { algorithm, maxPeriodMs: 40 * 24 * HOUR_MS })
      const limit = { count: 5, periodMs: calmPeriodMs() }
      const all = { keys, algorithm, limit, onUnavailable: 'closed' as const, deadlineMs: 5_000, ...options }
      const fresh = (more: Partial<RateLimitOptions> = {}) => createRateLimit(redis, { ...all, ...more })
      return { keys, id: randomUUID(), limit: fresh(), fresh, periodMs: all.limit.periodMs }
    }

    test('admits as many as it says, in whatever order they arrive, and tells how long to wait', async () => {
      const { limit, fresh, id, periodMs } = setUp()
      expect(await limit.check(id)).toMatchObject({ allowed: true, limitCount: 5, remaining: 4, degraded: false })
      expect(admittedOf(await repeat(50, () => fresh().check(id)))).toBe(4)
      const denied = await fresh().check(id)
      expect(denied).toMatchObject({ allowed: false, remaining: 0, degraded: false, charge: undefined })
      expect(denied.retryAfterMs).toBeGreaterThan(0)
      expect(denied.retryAfterMs).toBeLessThanOrEqual(periodMs * 1.2)
      expect(denied.resetAfterMs).toBeGreaterThanOrEqual(denied.retryAfterMs)
      expect(denied.resetAfterMs).toBeLessThanOrEqual(periodMs * 2)
    })

    test('peek says what check will say, and charges nothing', async () => {
      const { limit, keys, id } = setUp()
      for (let i = 0; i < 3; i++) expect(await limit.peek(id, 5)).toMatchObject({ allowed: true, remaining: 5 })
      expect(await redis.exists(keys.bucket.key(id))).toBe(0)
      await limit.check(id, 3)
      expect(await limit.peek(id, 2)).toMatchObject({ allowed: true, remaining: 2, charge: undefined })
      expect(await limit.peek(id, 3)).toMatchObject({ allowed: false, remaining: 2 })
      expect(await limit.check(id, 2)).toMatchObject({ allowed: true, remaining: 0 })
    })

    test('a penalty takes as much as there is, and no wait is longer than that of a full bucket or window', async () => {
      const { fresh, id, periodMs } = setUp()
      expect(await fresh().penalize(id, 2)).toMatchObject({ allowed: true, remaining: 3, charge: undefined })
      for (let i = 0; i < 3; i++) {
        const { allowed, remaining, retryAfterMs } = await fresh().penalize(id, 1_000)
        expect([allowed, remaining]).toEqual([false, 0])
        expect(retryAfterMs).toBeGreaterThan(0)
        expect(retryAfterMs).toBeLessThanOrEqual(periodMs * 1.2)
      }
      const { remaining, resetAfterMs } = await fresh().peek(id)
      expect(remaining).toBe(0)
      expect(resetAfterMs).toBeLessThanOrEqual(periodMs * (algorithm === 'sliding-window-counter' ? 2 : 1))
    })

    test('a charge is given back once, whichever process asks', async () => {
      const { limit, fresh, id } = setUp()
      const { charge } = await limit.check(id, 2)
      await limit.check(id, 3)
      expect((await fresh().check(id)).allowed).toBe(false)
      if (!charge) throw new Error('nothing was charged')
      const refunds = await repeat(10, () => fresh().refund(id, charge))
      expect(refunds.filter((isGiven) => isGiven)).toEqual([true])
      expect(await fresh().check(id, 2)).toMatchObject({ allowed: true, remaining: 0 })
      expect(await limit.refund(id, charge)).toBe(false)
      expect((await fresh().check(id)).allowed).toBe(false)
    })

    test('what cannot be a charge is refused, changes nothing, and the charge itself is still given back', async () => {
      const { limit, fresh, id } = setUp()
      const { charge } = await limit.check(id, 2)
      await limit.check(id, 3)
      if (!charge) throw new Error('nothing was charged')
      for (const cost of [0, -5, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        await expect(fresh().refund(id, { ...charge, cost })).rejects.toThrow(/^cost must be/)
      }
      for (const stampUs of [0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        await expect(fresh().refund(id, { ...charge, stampUs })).rejects.toThrow(/^stampUs must be/)
      }
      expect(await fresh().peek(id)).toMatchObject({ allowed: false, remaining: 0 })
      expect(await fresh().refund(id, charge)).toBe(true)
    })

    test('a reset forgets what the id has used, in the process that knows a denial too', async () => {
      const { limit, id } = setUp()
      await limit.check(id, 5)
      expect((await limit.check(id)).allowed).toBe(false)
      expect(limit.knownDenial(id)).toMatchObject({ allowed: false })
      await limit.reset(id)
      expect(await limit.check(id, 5)).toMatchObject({ allowed: true, remaining: 0 })
    })

    test('a cost that never fits is denied without a wait, and takes nothing', async () => {
      const { limit, keys, id } = setUp()
      expect(await limit.check(id, 6)).toMatchObject({ allowed: false, retryAfterMs: -1, remaining: 5 })
      expect(await redis.exists(keys.bucket.key(id))).toBe(0)
    })

    test('a denial leaves the key as it is', async () => {
      const { fresh, keys, id } = setUp()
      await fresh().check(id, 5)
      const before = await redis.pexpiretime(keys.bucket.key(id))
      const used = await redis.call('MEMORY', 'USAGE', keys.bucket.key(id))
      await repeat(20, (i) => fresh().check(id, 1 + (i % 5)))
      expect(await redis.pexpiretime(keys.bucket.key(id))).toBe(before)
      expect(await redis.call('MEMORY', 'USAGE', keys.bucket.key(id))).toBe(used)
    })

    test('a caller that waits as told is admitted', async () => {
      const { fresh, id } = setUp({ limit: { count: 5, periodMs: 400 } })
      for (const cost of [1, 5, 2, 3]) {
        const limit = fresh()
        await limit.penalize(id, 5)
        const { allowed, retryAfterMs } = await fresh().check(id, cost)
        if (allowed) continue // a window has just ended
        await wait(retryAfterMs)
        expect(await fresh().check(id, cost)).toMatchObject({ allowed: true })
      }
    })

    test('its keys are of their families, of its type, and expire', async () => {
      const { limit, keys, id, periodMs } = setUp()
      const { charge } = await limit.check(id, 2)
      await limit.check(id)
      if (!charge) throw new Error('nothing was charged')
      await limit.refund(id, charge)
      expect(await redis.type(keys.bucket.key(id))).toBe(keys.bucket.type)
      const ttlMs = await redis.pttl(keys.bucket.key(id))
      expect(ttlMs).toBeGreaterThan(0)
      expect(ttlMs).toBeLessThanOrEqual(periodMs * 2)
      const markerTtlMs = await redis.pttl(keys.refund.key(id, charge.id))
      if (algorithm === 'sliding-window-log') expect(markerTtlMs).toBe(-2)
      else expect(markerTtlMs).toBeGreaterThan(0)
    })

    test('five per month are possible, and so is one per millisecond', async () => {
      const month = setUp({ limit: { count: 5, periodMs: 30 * 24 * HOUR_MS } })
      expect(await month.limit.check(month.id, 4)).toMatchObject({ allowed: true, remaining: 1 })
      const { retryAfterMs } = await month.limit.check(month.id, 2)
      expect(retryAfterMs).toBeGreaterThan(0)
      expect(await redis.pttl(month.keys.bucket.key(month.id))).toBeGreaterThan(0)
      const fast = setUp({ limit: { count: 1, periodMs: 1 } })
      expect(await fast.limit.check(fast.id)).toMatchObject({ allowed: true, remaining: 0 })
      await wait(2)
      expect(await fast.fresh().check(fast.id)).toMatchObject({ allowed: true, degraded: false })
    })

    test('what a longer limit left behind locks no id out for longer than the shorter one does', async () => {
      const { fresh, id } = setUp()
      await fresh().check(id, 5)
      const short = { limit: { count: 3, periodMs: 1_000 } }
      const { retryAfterMs } = await fresh(short).check(id)
      expect(retryAfterMs).toBeLessThanOrEqual(1_400)
      await wait(retryAfterMs)
      expect(await fresh(short).check(id)).toMatchObject({ allowed: true, degraded: false })
    })

    if (topology === 'acl') return // what follows plants keys of other types

    test.each(ALGORITHMS.filter((other) => other !== algorithm))('a key of %s is replaced', async (other) => {
      const { fresh, keys, id } = setUp()
      const { type } = rateLimitKeys('t', 't', 'cache', { algorithm: other }).bucket
      await fresh({ algorithm: other, keys: { ...keys, bucket: { ...keys.bucket, type } } }).check(id, 2)
      expect(await redis.type(keys.bucket.key(id))).toBe(type)
      expect(await fresh().check(id, 5)).toMatchObject({ allowed: true, remaining: 0, degraded: false })
      expect(await redis.type(keys.bucket.key(id))).toBe(keys.bucket.type)
      expect(await redis.pttl(keys.bucket.key(id))).toBeGreaterThan(0)
    })

    test('a key without expiry locks no id out for ever: the next admission repairs it', async () => {
      const { fresh, keys, id } = setUp({ limit: { count: 5, periodMs: 400 } })
      await fresh().penalize(id, 5)
      await redis.persist(keys.bucket.key(id))
      for (const cost of [1, 5]) {
        await wait((await fresh().peek(id, cost)).retryAfterMs)
        expect(await fresh().check(id, cost)).toMatchObject({ allowed: true, degraded: false })
        expect(await redis.pttl(keys.bucket.key(id))).toBeGreaterThanOrEqual(0)
      }
    })

    test.each(['string', 'hash', 'list', 'set', 'zset', 'stream'] as const)(
      'a foreign %s without expiry is replaced, and is no charge to give back',
      async (type) => {
        const { fresh, keys, id } = setUp()
        await plant(redis, keys.bucket.key(id), type)
        const charge = { cost: 1, id: 'x', stampUs: (Date.now() + 1_000) * 1_000 }
        expect(await fresh().refund(id, charge)).toBe(false)
        expect(await fresh().peek(id)).toMatchObject({ allowed: true, degraded: false })
        expect(await fresh().check(id)).toMatchObject({ allowed: true, degraded: false })
        expect(await redis.type(keys.bucket.key(id))).toBe(keys.bucket.type)
        expect(await redis.pttl(keys.bucket.key(id))).toBeGreaterThan(0)
      },
    )
  })
})
