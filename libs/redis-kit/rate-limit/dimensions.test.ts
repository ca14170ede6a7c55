import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { createRateLimits } from './dimensions.ts'
import { createRateLimit, type RateLimit, rateLimitKeys } from './rate-limit.ts'

const slow = { count: 1, periodMs: 600_000 }

function dimensionOn<Name extends string>(redis: Redis, namespace: string, name: Name, burst: number) {
  const keys = rateLimitKeys(namespace, name, 'cache')
  const limit = createRateLimit(redis, { keys, limit: slow, burst, onUnavailable: 'closed', deadlineMs: 5000 })
  return { name, limit, keys }
}
const patient = { deadlineMs: 5000 }

describe.each(['standalone', 'cluster'] as const)('several limits on Redis, %s', async (topology) => {
  const server = await testRedis({ topology })
  let redis: Redis
  const dimension = <Name extends string>(name: Name, burst: number) =>
    dimensionOn(redis, server.namespace(), name, burst)

  beforeAll(async () => {
    redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 5000 })
    await whenReady(redis, 10_000)
  })
  afterAll(() => closeRedis(redis))

  test('a request is admitted when every dimension admits it, and charged in each', async () => {
    const limits = createRateLimits([dimension('ip', 5), dimension('user', 3)], patient)
    const { allowed, decisions } = await limits.check({ ip: 'i', user: 'u' }, 2)
    expect(allowed).toBe(true)
    expect(decisions.map(({ name, decision }) => [name, decision.remaining])).toEqual([
      ['ip', 3],
      ['user', 1],
    ])
  })

  test('a dimension without an id does not apply', async () => {
    const limits = createRateLimits([dimension('ip', 5), dimension('user', 1)], patient)
    for (let i = 0; i < 5; i++) expect((await limits.check({ ip: 'i' })).allowed).toBe(true)
    expect((await limits.check({ ip: 'i' })).allowed).toBe(false)
  })

  test('when a later dimension refuses, what earlier ones took is given back', async () => {
    const [ip, user] = [dimension('ip', 10), dimension('user', 2)]
    const limits = createRateLimits([ip, user], patient)
    for (let i = 0; i < 2; i++) await limits.check({ ip: 'i', user: 'u' })
    // Another process's view: this one would know the denial and ask nobody.
    const elsewhere = createRateLimit(redis, {
      keys: user.keys,
      limit: slow,
      burst: 2,
      onUnavailable: 'closed',
      ...patient,
    })
    const others = createRateLimits([ip, { name: 'user', limit: elsewhere }], patient)
    const { allowed, decisions } = await others.check({ ip: 'i', user: 'u' })
    expect(allowed).toBe(false)
    expect(decisions.map(({ name }) => name)).toEqual(['user'])
    expect((await ip.limit.check('i')).remaining).toBe(10 - 2 - 1)
  })

  test('control: without the refund a refused user uses up the address of all others', async () => {
    const [ip, user] = [dimension('ip', 10), dimension('user', 1)]
    const naive = async () => (await ip.limit.check('i')).allowed && (await user.limit.check('u')).allowed
    for (let i = 0; i < 9; i++) await naive()
    expect((await ip.limit.check('i')).remaining).toBe(0)
  })

  test('refused requests in flight never let more through than the limits allow', async () => {
    const [ip, user] = [dimension('ip', 20), dimension('user', 6)]
    const limits = createRateLimits([ip, user], patient)
    const asked = Array.from({ length: 60 }, (_, i) => limits.check({ ip: 'i', user: `u${i % 2}` }))
    const admitted = (await Promise.all(asked)).filter(({ allowed }) => allowed).length
    expect(admitted).toBeLessThanOrEqual(12)
    expect((await ip.limit.check('i', 20 - admitted)).allowed).toBe(true) // everything else was given back
  })

  test('the dimension that refuses most is asked first', async () => {
    const [ip, user] = [dimension('ip', 100), dimension('user', 1)]
    const limits = createRateLimits([ip, user], patient)
    for (let i = 0; i < 30; i++) await limits.check({ ip: 'i', user: `u${i % 15}` })
    const fresh = createRateLimit(redis, {
      keys: user.keys,
      limit: slow,
      burst: 1,
      onUnavailable: 'closed',
      ...patient,
    })
    const asked: string[] = []
    const spyOn = (name: 'ip' | 'user', limit: RateLimit) => {
      const check: RateLimit['check'] = (...args) => {
        asked.push(name)
        return limit.check(...args)
      }
      return { name, limit: { ...limit, check } }
    }
    const spied = createRateLimits([spyOn('ip', ip.limit), spyOn('user', fresh)], patient)
    for (let i = 0; i < 2; i++) await spied.check({ ip: 'i', user: `u${i}` })
    expect(asked).toEqual(['ip', 'user', 'user'])
  })
})

describe('several limits behind a proxy that breaks', () => {
  let server: Awaited<ReturnType<typeof startRedis>>
  let proxy: FaultProxy
  let redis: Redis

  beforeAll(async () => {
    server = await startRedis()
    proxy = await startFaultProxy({ port: server.port })
    redis = connectRedis(proxy.url, { name: 'test' })
    await whenReady(redis, 5000)
  })
  afterAll(async () => {
    await closeRedis(redis)
    await proxy.stop()
    await server.stop()
  })

  test('a known denial in any dimension is found before anything is charged', async () => {
    const limits = createRateLimits(
      [dimensionOn(redis, `test-${randomUUID()}`, 'ip', 100), dimensionOn(redis, `test-${randomUUID()}`, 'user', 1)],
      patient,
    )
    for (let i = 0; i < 2; i++) await limits.check({ ip: 'i', user: 'u' })
    proxy.resetCounters()
    expect((await limits.check({ ip: 'other', user: 'u' })).allowed).toBe(false)
    expect(proxy.counters().packetsToServer).toBe(0)
  })

  test('three dimensions and a black hole cost one deadline, not three', async () => {
    const deadlineMs = 200
    const open = (name: string) => {
      const keys = rateLimitKeys(`test-${randomUUID()}`, name, 'cache')
      return { name, limit: createRateLimit(redis, { keys, limit: slow, burst: 9, onUnavailable: 'open', deadlineMs }) }
    }
    const limits = createRateLimits([open('ip'), open('user'), open('route')], { deadlineMs })
    const ids = { ip: 'i', user: 'u', route: 'r' }
    expect((await limits.check(ids)).allowed).toBe(true)
    proxy.blackHole()
    const excessesMs: number[] = []
    for (let i = 0; i < 5; i++) {
      // Next to a bare timer of the deadline: a busy machine holds up both.
      const deadline = sleep(deadlineMs).then(() => performance.now())
      const { allowed, decisions } = await limits.check(ids)
      const doneMs = performance.now()
      excessesMs.push(doneMs - (await deadline))
      expect(allowed).toBe(true)
      expect(decisions.every(({ decision }) => decision.degraded)).toBe(true)
    }
    await proxy.heal()
    expect(excessesMs.toSorted((a, b) => a - b)[2]).toBeLessThan(deadlineMs)
  })
})
