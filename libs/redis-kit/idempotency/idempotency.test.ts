import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis as Server } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { RedisUnavailable } from '../errors.ts'
import {
  type Begun,
  type Claim,
  createIdempotency,
  type IdempotencyOptions,
  idempotencyKeys,
  ResponseTooLarge,
} from './idempotency.ts'

const request = { tenant: 'u-1', route: 'POST /api/orders', key: 'k-1', fingerprint: 'f-1' }
const MINUTE_MS = 60_000

async function connect(url: string): Promise<Redis> {
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 3000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}
function claimed(begun: Begun): Claim {
  if (begun.status !== 'started') throw new Error(`it was not started but ${begun.status}`)
  return begun
}

describe.each(['standalone', 'cluster'] as const)('%s', async (topology) => {
  const server = await testRedis({ topology })

  async function open(options: Partial<IdempotencyOptions> = {}) {
    const keys = idempotencyKeys(server.namespace(), 'checkout')
    const redis = await connect(server.url)
    const idempotency = createIdempotency(redis, { keys, ttlMs: MINUTE_MS, ...options })
    return { idempotency, redis, keys, begin: (other = {}) => idempotency.begin({ ...request, ...other }) }
  }

  test('a request is started once, is in progress for the others, and then repeated byte for byte', async () => {
    const { begin } = await open()
    const claim = claimed(await begin())
    expect(await begin()).toEqual({ status: 'in-progress', retryAfterMs: 1000 })
    const body = Buffer.from([0, 255, 13, 10, 128, 34])
    expect(
      await claim.complete({ status: 202, headers: { 'Content-Type': 'application/json', etag: ['"1"'] }, body }),
    ).toBe(true)
    for (let round = 0; round < 3; round++) {
      expect(await begin()).toEqual({
        status: 'replay',
        response: { status: 202, headers: { 'content-type': 'application/json', etag: ['"1"'] }, body },
      })
    }
  })

  test('only what is listed is kept of the headers', async () => {
    const { begin } = await open()
    const headers = {
      'Set-Cookie': 'session=1',
      date: 'now',
      'x-request-id': 'r',
      location: '/orders/1',
      etag: undefined,
    }
    await claimed(await begin()).complete({ status: 201, headers, body: 'x' })
    expect(await begin()).toMatchObject({ response: { headers: { location: '/orders/1' } } })
    expect(Object.keys(((await begin()) as { response: { headers: object } }).response.headers)).toEqual(['location'])
  })

  test.each(['Set-Cookie', 'date', 'content-length'])('%s cannot even be listed', async (name) => {
    await expect(open({ headers: ['content-type', name] })).rejects.toThrow(TypeError)
  })

  test('the same key with another body is a mismatch: in progress, completed, and after its process has died', async () => {
    const { begin } = await open({ leaseMs: 50 })
    const claim = claimed(await begin())
    expect(await begin({ fingerprint: 'f-2' })).toEqual({ status: 'mismatch' })
    await sleep(60) // the lease has run out
    expect(await begin({ fingerprint: 'f-2' })).toEqual({ status: 'mismatch' })
    await claim.complete({ status: 200 })
    expect(await begin({ fingerprint: 'f-2' })).toEqual({ status: 'mismatch' })
  })

  test('tenants and routes do not share their keys', async () => {
    const { begin } = await open()
    await claimed(await begin()).complete({ status: 200, body: 'secret of u-1' })
    expect(await begin({ tenant: 'u-2' })).toMatchObject({ status: 'started' })
    expect(await begin({ route: 'POST /api/refunds' })).toMatchObject({ status: 'started' })
    expect(await begin({ key: 'k-2' })).toMatchObject({ status: 'started' })
    await expect(begin({ tenant: '' })).rejects.toThrow(TypeError)
  })

  test('a claim without a sign of life is taken over, and its late owner is not believed', async () => {
    const { begin } = await open({ leaseMs: 100 })
    const late = claimed(await begin())
    const next = await untilStarted(begin)
    expect(await late.renew()).toBe(false)
    expect(await late.complete({ status: 500 })).toBe(false)
    expect(await late.release()).toBe(false)
    expect(await next.complete({ status: 202, body: 'by the second' })).toBe(true)
    expect(await begin()).toMatchObject({ status: 'replay', response: { status: 202 } })
  })

  test('a claim that is renewed is not taken over', async () => {
    const { begin } = await open({ leaseMs: 500 })
    const claim = claimed(await begin())
    const endMs = performance.now() + 1250
    while (performance.now() < endMs) {
      const [isOurs, begun] = await Promise.all([claim.renew(), begin()]) // one packet: no pause of ours comes in between
      expect(isOurs).toBe(true)
      expect(begun).toMatchObject({ status: 'in-progress' })
      await sleep(50)
    }
  })

  test('a claim that nobody else took may be completed after its lease', async () => {
    const { begin } = await open({ leaseMs: 20 })
    const claim = claimed(await begin())
    await sleep(40)
    expect(await claim.complete({ status: 200, body: 'late' })).toBe(true)
    expect(await begin()).toMatchObject({ status: 'replay' })
  })

  test('what was completed cannot be renewed, released or completed otherwise', async () => {
    const { begin } = await open()
    const claim = claimed(await begin())
    await claim.complete({ status: 200, body: 'first' })
    expect(await claim.renew()).toBe(false)
    expect(await claim.release()).toBe(false)
    await claim.complete({ status: 500, body: 'second' })
    expect(await begin()).toMatchObject({ response: { status: 200, body: Buffer.from('first') } })
  })

  test('what was released may be started anew, with any body', async () => {
    const { begin } = await open()
    expect(await claimed(await begin()).release()).toBe(true)
    claimed(await begin({ fingerprint: 'f-2' }))
  })

  test('every record expires, and who waits is never told to wait for longer than the lease', async () => {
    const { begin, redis, keys } = await open({ leaseMs: 5000, maxRetryAfterMs: 10_000 })
    const claim = claimed(await begin())
    const [key] = await keysLike(redis, keys.glob)
    expect(await redis.pttl(key as string)).toBeGreaterThan(MINUTE_MS / 2)
    const waiting = await begin()
    expect(waiting.status === 'in-progress' && waiting.retryAfterMs).toBeLessThanOrEqual(5000)
    await claim.complete({ status: 200 })
    expect(await redis.pttl(key as string)).toBeGreaterThan(MINUTE_MS / 2)
  })

  test('an answer above the limit is refused, and the claim stays', async () => {
    const { begin } = await open({ maxResponseBytes: 100 })
    const claim = claimed(await begin())
    await expect(claim.complete({ status: 200, body: 'é'.repeat(60) })).rejects.toBeInstanceOf(ResponseTooLarge)
    expect(await begin()).toMatchObject({ status: 'in-progress' })
  })

  test('1,000 at once over several connections: one is started, and with a check before the act it is many', async () => {
    const { keys } = await open()
    const connections = await Promise.all(Array.from({ length: 4 }, () => connect(server.url)))
    const guards = connections.map((redis) => createIdempotency(redis, { keys, ttlMs: MINUTE_MS }))
    const outcomes = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => (guards[i % 4] as (typeof guards)[0]).begin(request)),
    )
    expect(outcomes.filter(({ status }) => status === 'started').length).toBe(1)
    expect(outcomes.filter(({ status }) => status === 'in-progress').length).toBe(999)

    const naive = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => naiveBegin(connections[i % 4] as Redis, keys.key('naive', 'k-1'))),
    )
    expect(naive.filter(Boolean).length).toBeGreaterThan(1)
  })
})

/** What is often written: look, and if there is nothing, mark it. */
async function naiveBegin(redis: Redis, key: string): Promise<boolean> {
  if ((await redis.get(key)) !== null) return false
  await turn()
  await redis.set(key, 'in progress', 'PX', MINUTE_MS)
  return true
}

test.each([{ ttlMs: 1000, leaseMs: 2000 }, { ttlMs: 25 * 60 * MINUTE_MS }, { leaseMs: 0 }])(
  'times that do not fit each other are refused: %o',
  async (options) => {
    const redis = connectRedis('redis://127.0.0.1:1', { name: 'test' })
    onTestFinished(() => closeRedis(redis))
    expect(() => createIdempotency(redis, { keys: idempotencyKeys('order', 'checkout'), ...options })).toThrow(
      RangeError,
    )
  },
)

describe('when answers are lost', () => {
  async function open(leaseMs = 30_000) {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const proxy = await startFaultProxy({ port: server.port })
    onTestFinished(() => proxy.stop())
    const redis = await connect(proxy.url)
    const guard = createIdempotency(redis, { keys: idempotencyKeys('order', 'checkout'), leaseMs })
    await guard.begin({ ...request, key: 'warm' }) // the server knows the script now
    return { server, proxy, redis, guard }
  }

  test('a claim whose confirmation was lost is still ours', async () => {
    const { proxy, guard } = await open()
    const cut = proxy.cutAfterNextRequest('u-1')
    const claim = claimed(await guard.begin(request))
    await cut
    expect(await claim.complete({ status: 200 })).toBe(true)
  })

  test('an answer whose confirmation was lost is kept once', async () => {
    const { proxy, guard } = await open()
    const claim = claimed(await guard.begin(request))
    await claimed(await guard.begin({ ...request, key: 'warm-too' })).complete({ status: 200 })
    const cut = proxy.cutAfterNextRequest('u-1')
    expect(await claim.complete({ status: 202, body: 'once' })).toBe(true)
    await cut
    expect(await guard.begin(request)).toMatchObject({ status: 'replay', response: { status: 202 } })
  })

  test('Redis away is an error and no permission', async () => {
    const { proxy, guard, redis } = await open()
    await proxy.refuse()
    await untilTrue(() => redis.status !== 'ready')
    await expect(guard.begin(request)).rejects.toBeInstanceOf(RedisUnavailable)
  })

  test("a record that Redis has lost is nobody's any more: its owner is told so", async () => {
    const { server, redis, guard } = await open()
    const claim = claimed(await guard.begin(request))
    await server.restart() // keeps no file
    await untilTrue(() => redis.status === 'ready')
    expect(await claim.complete({ status: 200 })).toBe(false)
  })
})

test('a user with the rights of the declared keys needs no others', async () => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const keys = idempotencyKeys('order', 'checkout')
  const direct = new Server(server.port)
  onTestFinished(() => direct.disconnect())
  const commands = [
    'ping',
    'hello',
    'auth',
    'client|setname',
    'time',
    'type',
    'pttl',
    'eval',
    'evalsha',
    'hmget',
    'hset',
    'hdel',
    'del',
    'pexpire',
  ]
  await direct.acl('SETUSER', 'app', 'on', '>secret', `~${keys.glob}`, ...commands.map((name) => `+${name}`))
  const guard = createIdempotency(await connect(server.url.replace('://', '://app:secret@')), { keys })
  const claim = claimed(await guard.begin(request))
  expect(await claim.renew()).toBe(true)
  expect(await claim.complete({ status: 200 })).toBe(true)
  expect(await guard.begin(request)).toMatchObject({ status: 'replay' })
  expect(await claimed(await guard.begin({ ...request, key: 'k-2' })).release()).toBe(true)
  const other = createIdempotency(await connect(server.url.replace('://', '://app:secret@')), {
    keys: idempotencyKeys('order', 'other'),
  })
  await expect(other.begin(request)).rejects.toMatchObject({ message: expect.stringContaining('key') })
})

async function untilStarted(begin: () => Promise<Begun>): Promise<Claim> {
  const deadlineMs = performance.now() + 10_000
  for (;;) {
    const begun = await begin()
    if (begun.status === 'started') return begun
    if (performance.now() > deadlineMs) throw new Error('nobody could take over')
    await sleep(10)
  }
}
async function untilTrue(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within 10 s: ${condition}`)
    await sleep(10)
  }
}
async function keysLike(redis: Redis, glob: string): Promise<string[]> {
  const nodes = 'nodes' in redis ? redis.nodes('master') : [redis]
  const found = await Promise.all(nodes.map(async (node) => (await node.scan(0, 'MATCH', glob, 'COUNT', 100_000))[1]))
  return found.flat()
}
