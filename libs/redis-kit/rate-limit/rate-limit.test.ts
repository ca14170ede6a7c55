/** One contract for every topology, then what happens when Redis does not answer. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { typicalExcessMs } from '@shop/test-kit/excess'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createBreaker } from '../circuit-breaker/circuit-breaker.ts'
import { type Redis as Connection, closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { isRedisOutage } from '../errors.ts'
import { createRateLimit, type Decision, type RateLimit, type RateLimitOptions, rateLimitKeys } from './rate-limit.ts'

const SECOND_MS = 1000

function limitOn(redis: Connection, namespace: string, options: Partial<RateLimitOptions> = {}) {
  const keys = rateLimitKeys(namespace, 'thing', 'cache')
  const limit = { count: 10, periodMs: SECOND_MS }
  return { keys, limit: createRateLimit(redis, { keys, limit, burst: 5, onUnavailable: 'closed', ...options }) }
}

/** Nothing comes back while a test runs, however slow the machine is. */
const slow = { count: 10, periodMs: 100 * SECOND_MS }

const repeat = <Value>(times: number, work: (i: number) => Promise<Value>) =>
  Promise.all(Array.from({ length: times }, (_, i) => work(i)))

const admittedOf = (decisions: Decision[]) => decisions.filter(({ allowed }) => allowed).length

/** Not before: a timer of Node may fire a fraction of a millisecond early. */
async function wait(ms: number) {
  const endMs = performance.now() + ms
  while (performance.now() < endMs) await sleep(endMs - performance.now())
}

/** Stops this thread; the server is not on it. */
function block(ms: number) {
  const endMs = performance.now() + ms
  while (performance.now() < endMs);
}

describe.each(['standalone', 'cluster'] as const)('on Redis, %s', async (topology) => {
  const server = await testRedis({ topology })
  const connections: Connection[] = []

  async function connect() {
    const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 5000 })
    connections.push(redis)
    await whenReady(redis, 10_000)
    return redis
  }
  let redis: Connection

  beforeAll(async () => {
    redis = await connect()
  })
  afterAll(() => Promise.all(connections.map((connection) => closeRedis(connection))))

  // A busy machine must not turn a decision into a degraded one: the deadline has tests of its own.
  const patient = { deadlineMs: 5000 }

  test('a burst is admitted at once and the next is denied with the time to wait', async () => {
    const { limit } = limitOn(redis, server.namespace(), { ...patient, limit: slow })
    const first = await limit.check('a')
    expect(first).toMatchObject({ allowed: true, limitCount: 10, remaining: 4, retryAfterMs: 0, degraded: false })
    const rest = await repeat(9, () => limit.check('a'))
    expect(admittedOf(rest)).toBe(4)
    const denied = await limit.check('a')
    expect(denied).toMatchObject({ allowed: false, remaining: 0, degraded: false })
    expect(denied.retryAfterMs).toBeGreaterThan(0)
    expect(denied.retryAfterMs).toBeLessThanOrEqual(10 * SECOND_MS)
    expect(denied.resetAfterMs).toBeLessThanOrEqual(50 * SECOND_MS)
  })

  test('ids do not share their limit, however odd they are', async () => {
    const { limit } = limitOn(redis, server.namespace(), { ...patient, limit: slow, burst: 1 })
    for (const id of ['a', 'a:b', 'a%3Ab', '{a}', '2001:db8::/64', 'ü ☃', '*']) {
      expect((await limit.check(id)).allowed).toBe(true)
      expect((await limit.check(id)).allowed).toBe(false)
    }
  })

  test('who waits as told is admitted', async () => {
    const options = { ...patient, burst: 2 }
    const { limit, keys } = limitOn(redis, server.namespace(), options)
    const elsewhere = () => createRateLimit(redis, { keys, limit: limit.policy, onUnavailable: 'closed', ...options })
    const untilDenied = async (cost: number, one: RateLimit): Promise<Decision> => {
      const decision = await one.check('a', cost)
      return decision.allowed ? untilDenied(cost, one) : decision
    }
    for (const cost of [1, 2, 1, 2]) {
      const { retryAfterMs } = await untilDenied(cost, cost === 1 ? limit : elsewhere())
      await wait(retryAfterMs)
      expect((await limit.check('a', cost)).allowed).toBe(true)
      await untilDenied(1, limit)
      const known = limit.knownDenial('a', cost) ?? (await untilDenied(cost, limit))
      await wait(known.retryAfterMs)
      expect((await limit.check('a', cost)).allowed).toBe(true)
    }
  })

  test('a denial is the same for every process, and asking again does not prolong it', async () => {
    const other = await connect()
    const { limit, keys } = limitOn(redis, server.namespace(), {
      ...patient,
      limit: { count: 1, periodMs: 5000 },
      burst: 1,
    })
    await limit.check('a')
    const before = await redis.get(keys.bucket.key('a'))
    const waits: number[] = []
    for (let i = 0; i < 5; i++) {
      const elsewhere = createRateLimit(other, {
        keys,
        limit: limit.policy,
        burst: 1,
        onUnavailable: 'closed',
        ...patient,
      })
      const denied = await elsewhere.check('a')
      expect(denied).toMatchObject({ allowed: false, degraded: false })
      waits.push(denied.retryAfterMs)
    }
    expect(waits).toEqual(waits.toSorted((a, b) => b - a))
    expect(await redis.get(keys.bucket.key('a'))).toBe(before)
  })

  test('a cost above the burst is never admitted and takes nothing', async () => {
    const { limit, keys } = limitOn(redis, server.namespace(), patient)
    expect(await limit.check('a', 6)).toMatchObject({ allowed: false, retryAfterMs: -1, remaining: 5 })
    expect(await redis.exists(keys.bucket.key('a'))).toBe(0)
    expect((await limit.check('a', 5)).allowed).toBe(true)
  })

  test('a refund makes room again, in the process that had remembered the denial too', async () => {
    const { limit } = limitOn(redis, server.namespace(), {
      ...patient,
      limit: { count: 1, periodMs: 60_000 },
      burst: 1,
    })
    const { charge } = await limit.check('a')
    expect((await limit.check('a')).allowed).toBe(false)
    expect(limit.knownDenial('a')).toMatchObject({ allowed: false })
    expect(charge && (await limit.refund('a', charge))).toBe(true)
    expect((await limit.check('a')).allowed).toBe(true)
  })

  test('a key expires when its limit is full again', async () => {
    const { limit, keys } = limitOn(redis, server.namespace(), patient)
    const { resetAfterMs } = await limit.check('a', 3)
    expect(resetAfterMs).toBeGreaterThan(290)
    const ttlMs = await redis.pttl(keys.bucket.key('a'))
    expect(ttlMs).toBeGreaterThan(0)
    expect(ttlMs).toBeLessThanOrEqual(300)
  })

  test('a pause of this process is no outage: the answer that came meanwhile counts', async () => {
    const { limit } = limitOn(redis, server.namespace(), { deadlineMs: 50 })
    await limit.check('warm up', 1, 5000)
    for (let i = 0; i < 4; i++) {
      const decision = limit.check('a')
      process.nextTick(() => block(200)) // the question is on its way by then
      expect(await decision).toMatchObject({ degraded: false })
    }
  })

  describe('at saturation', () => {
    /** Four processes' worth of connections ask as fast as they can. Remembered denials are off: Redis decides each time. */
    async function saturate(lengthMs: number) {
      const options = { ...patient, limit: { count: 20, periodMs: SECOND_MS }, burst: 10, maxLocalIds: 0 }
      const { limit, keys } = limitOn(redis, server.namespace(), options)
      const limits = await repeat(4, async () =>
        createRateLimit(await connect(), { keys, onUnavailable: 'closed', ...options }),
      )
      await Promise.all(limits.map((one) => one.check('warm up')))
      let [admitted, denied] = [0, 0]
      const startMs = performance.now()
      const hammer = async (one: typeof limit) => {
        while (performance.now() - startMs < lengthMs || denied <= 50) {
          if ((await one.check('a')).allowed) admitted++
          else denied++
        }
      }
      await Promise.all([...limits, ...limits].map(hammer))
      const elapsedMs = performance.now() - startMs
      return { admitted, denied, boundCount: 10 + (20 * elapsedMs) / SECOND_MS }
    }

    test('no more than burst + rate * time is admitted, and hardly less', async () => {
      const { admitted, denied, boundCount } = await saturate(2000)
      expect(denied).toBeGreaterThan(50)
      expect(admitted).toBeLessThanOrEqual(boundCount)
      expect(admitted).toBeGreaterThan(boundCount * 0.8)
    })

    test('clients whose clocks jump by a minute change nothing', async () => {
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => 1.7e12 + Math.random() * 120_000)
      try {
        const { admitted, boundCount } = await saturate(500)
        expect(admitted).toBeLessThanOrEqual(boundCount)
      } finally {
        clock.mockRestore()
      }
    })

    test('control: the same algorithm by the clients’ clocks admits far more', async () => {
      const key = rateLimitKeys(server.namespace(), 'naive', 'cache').bucket.key('a')
      const naive = `
        local now, interval, tolerance = tonumber(ARGV[1]), 100000, 4000000
        local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
        if tat + interval - tolerance > now then return 0 end
        redis.call('SET', KEYS[1], string.format('%.0f', tat + interval), 'PX', 60000)
        return 1`
      const startMs = performance.now()
      const skewsUs = [0, 20e6, 40e6, 60e6]
      let admitted = 0
      for (const skewUs of skewsUs) {
        for (let i = 0; i < 60; i++) {
          const nowUs = Math.round((performance.timeOrigin + performance.now()) * 1000 + skewUs)
          admitted += Number(await redis.eval(naive, 1, key, nowUs))
        }
      }
      expect(admitted).toBeGreaterThan(40 + (10 * (performance.now() - startMs)) / SECOND_MS)
    })
  })
})

describe('with a proxy that breaks', () => {
  let server: Awaited<ReturnType<typeof startRedis>>
  let proxy: FaultProxy
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())
  beforeEach(async () => {
    proxy = await startFaultProxy({ port: server.port })
    redis = connectRedis(proxy.url, { name: 'test', commandTimeoutMs: 1000 })
    await whenReady(redis, 5000)
  })
  afterEach(async () => {
    await proxy.refuse() // what still waits for an answer is told at once
    await closeRedis(redis)
  })

  const DEADLINE_MS = 200

  const modes = [
    { onUnavailable: 'open', allowed: true },
    { onUnavailable: 'closed', allowed: false },
    { onUnavailable: 'local', allowed: true },
  ] as const

  test.each(modes)('a black hole costs no more than the deadline when failing $onUnavailable', async (mode) => {
    const errors: unknown[] = []
    const { onUnavailable } = mode
    const { limit } = limitOn(redis, `test-${randomUUID()}`, {
      onUnavailable,
      deadlineMs: DEADLINE_MS,
      onDegraded: (error) => errors.push(error),
    })
    await vi.waitFor(async () => expect((await limit.check('a')).degraded).toBe(false), { timeout: 10_000 })
    errors.length = 0
    proxy.blackHole()
    expect(await limit.check('a')).toMatchObject({ allowed: mode.allowed, degraded: true })
    expect(await typicalExcessMs(DEADLINE_MS, () => limit.check('b'))).toBeLessThan(DEADLINE_MS)
    expect(await typicalExcessMs(DEADLINE_MS, () => repeat(100, (i) => limit.check(`c${i}`)))).toBeLessThan(DEADLINE_MS)
    expect(errors).toHaveLength(1 + 5 + 500)
  })

  test.each(modes)('a dead server costs no more than the deadline when failing $onUnavailable', async (mode) => {
    const { limit } = limitOn(redis, `test-${randomUUID()}`, {
      onUnavailable: mode.onUnavailable,
      deadlineMs: DEADLINE_MS,
    })
    await limit.check('a')
    await proxy.refuse()
    expect(await limit.check('a')).toMatchObject({ allowed: mode.allowed, degraded: true })
    expect(await typicalExcessMs(DEADLINE_MS, () => limit.check('a'))).toBeLessThan(DEADLINE_MS)
  })

  test.each(modes)(
    'a server that answers and refuses to write is an outage when failing $onUnavailable',
    async (mode) => {
      const { onUnavailable, allowed } = mode
      const { limit } = limitOn(redis, `test-${randomUUID()}`, { onUnavailable, deadlineMs: 5000 })
      const operator = new Redis(server.url)
      try {
        await operator.config('SET', 'min-replicas-to-write', 1)
        expect(await limit.check('a')).toMatchObject({ allowed, degraded: true })
      } finally {
        await operator.config('SET', 'min-replicas-to-write', 0)
        operator.disconnect()
      }
      expect(await limit.check('a')).toMatchObject({ allowed: true, degraded: false })
    },
  )

  test('after the fault Redis decides again', async () => {
    const { limit } = limitOn(redis, `test-${randomUUID()}`, { onUnavailable: 'open' })
    await limit.check('a')
    await proxy.refuse()
    expect((await limit.check('a')).degraded).toBe(true)
    await proxy.heal()
    await vi.waitFor(async () => expect((await limit.check('a')).degraded).toBe(false), { timeout: 10_000 })
  })

  test('failing closed tells when to come back; failing open tells nothing it does not know', async () => {
    const closed = limitOn(redis, `test-${randomUUID()}`, { onUnavailable: 'closed' }).limit
    const open = limitOn(redis, `test-${randomUUID()}`, { onUnavailable: 'open' }).limit
    proxy.blackHole()
    expect(await closed.check('a')).toMatchObject({ allowed: false, remaining: 0, retryAfterMs: 1000 })
    expect(await open.check('a')).toMatchObject({ allowed: true, remaining: 0, retryAfterMs: 0, charge: undefined })
  })

  test('failing local keeps this instance’s share of the limit', async () => {
    const options = {
      limit: { count: 1, periodMs: 10_000 },
      burst: 8,
      onUnavailable: 'local',
      instances: () => 4,
    } as const
    const { limit } = limitOn(redis, `test-${randomUUID()}`, options)
    proxy.blackHole()
    const decisions = await repeat(20, () => limit.check('a'))
    expect(admittedOf(decisions)).toBe(2)
    expect(decisions.every(({ degraded }) => degraded)).toBe(true)
  })

  test('a denied id is denied again without a packet', async () => {
    const { limit } = limitOn(redis, `test-${randomUUID()}`, {
      limit: { count: 1, periodMs: 60_000 },
      burst: 1,
      deadlineMs: 5000,
      maxKnownDenialMs: 60_000,
    })
    await limit.check('a')
    await limit.check('a')
    proxy.resetCounters()
    const decisions = await repeat(1000, () => limit.check('a'))
    expect(admittedOf(decisions)).toBe(0)
    expect(proxy.counters().packetsToServer).toBe(0)
  })

  test('the scripts’ cache may be emptied at any moment', async () => {
    const { limit } = limitOn(redis, `test-${randomUUID()}`, { deadlineMs: 5000, limit: slow })
    await limit.check('a')
    await redis.script('FLUSH')
    expect(await limit.check('a')).toMatchObject({ allowed: true, remaining: 3, degraded: false })
  })

  test('a mistake is no outage: it is not covered up by the fail mode', async () => {
    const { limit } = limitOn(redis, `test-${randomUUID()}`, { onUnavailable: 'open', deadlineMs: 5000 })
    await expect(limit.check('c', 0)).rejects.toThrow('cost must be an integer')
  })

  test('with a breaker only the first requests of an outage wait for the deadline', async () => {
    const breaker = createBreaker({
      name: 'limits',
      isFailure: isRedisOutage,
      timeoutMs: 20,
      minimumCount: 3,
      openMs: 60_000,
      probes: 1,
    })
    try {
      const { limit } = limitOn(redis, `test-${randomUUID()}`, { breaker, onUnavailable: 'open' })
      proxy.blackHole()
      await repeat(5, () => limit.check('a'))
      expect(breaker.state()).toBe('open')
      expect(await limit.check('a')).toMatchObject({ allowed: true, degraded: true })
      expect(await typicalExcessMs(0, () => limit.check('a'))).toBeLessThan(10)
    } finally {
      breaker.close()
    }
  })

  test('a limit that its key family has no room for is refused at the start', () => {
    const tooLong = { limit: { count: 1, periodMs: 24 * 3600 * SECOND_MS }, burst: 2 }
    expect(() => limitOn(redis, `test-${randomUUID()}`, tooLong)).toThrow(/longer than .* may live: raise maxPeriodMs/)
    expect(() => limitOn(redis, `test-${randomUUID()}`, { burst: 0 })).toThrow('burst')
  })
})
