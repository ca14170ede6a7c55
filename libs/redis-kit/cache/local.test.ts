/** The copies in memory: what is kept, for how long, and what may not be kept at all. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  closeRedis,
  connectRedis,
  connectSubscriber,
  type Redis,
  type Subscriber,
  whenReady,
} from '../connection/connection.ts'
import { type CacheKeys, type CacheOptions, cacheKeys, createCache, type LocalOptions } from './cache.ts'
import { createSource, type Row } from './fixtures/source.ts'
import { cacheServer, topologies } from './fixtures/topology.fixture.ts'
import { createLocalStore } from './local.ts'

const HOUR_MS = 3_600_000
const until = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 10_000, interval: 5 })

describe('a store of copies', () => {
  const put = (store: ReturnType<typeof createLocalStore<string>>, id: string, sizeBytes = 10, tags?: string[]) =>
    store.set(id, { result: id, expiresAtMs: Number.POSITIVE_INFINITY, sizeBytes, tags })

  test('has at most so many entries, and parts with those that were not used', async () => {
    const store = createLocalStore<string>({ maxEntryCount: 3 })
    for (const id of ['a', 'b', 'c']) put(store, id)
    expect(await store.get('a', 0)).toBe('a')
    put(store, 'd')
    put(store, 'e')
    expect(['a', 'b', 'c', 'd', 'e'].filter((id) => store.get(id, 0))).toEqual(['a', 'd', 'e'])
  })

  test('has at most so many bytes, whatever comes and goes', () => {
    const store = createLocalStore<string>({ maxBytes: 10_000 })
    for (let n = 0; n < 1_000; n++) {
      put(store, `id-${n % 50}`, (n * 37) % 3_000)
      if (n % 3 === 0) store.get(`id-${n % 7}`, 0)
      if (n % 11 === 0) store.drop(`id-${n % 5}`)
      expect(store.bytes()).toBeLessThanOrEqual(10_000)
    }
    put(store, 'too large', 10_001)
    expect(store.get('too large', 0)).toBeUndefined()
    for (let n = 0; n < 50; n++) store.drop(`id-${n}`)
    expect([store.size(), store.bytes()]).toEqual([0, 0])
  })

  test('ends when every entry has been used', () => {
    const store = createLocalStore<string>({ maxEntryCount: 100 })
    for (let n = 0; n < 100; n++) put(store, `${n}`)
    for (let n = 0; n < 100; n++) store.get(`${n}`, 0)
    put(store, 'new')
    expect(store.size()).toBe(100)
  })

  test('drops what carries a tag', () => {
    const store = createLocalStore<string>({})
    put(store, 'a', 1, ['tea'])
    put(store, 'b', 1, ['mugs'])
    store.dropTag('tea')
    expect([store.get('a', 0), store.get('b', 0)].map((copy) => copy !== undefined)).toEqual([false, true])
  })
})

describe.each(topologies)('a cache with copies on %s', async (topology) => {
  const server = await cacheServer(topology)
  const redis = connectRedis(server.url, { name: 'l1', commandTimeoutMs: 9_000 })
  const direct = connectRedis(server.url, { name: 'l1', commandTimeoutMs: 9_000 })
  const subscriber = connectSubscriber(server.url, { name: 'l1', commandTimeoutMs: 9_000 })
  await Promise.all([whenReady(redis, 9_000), whenReady(direct, 9_000)])
  afterAll(async () => {
    await subscriber.close()
    await Promise.all([closeRedis(redis), closeRedis(direct)])
  })

  async function setUp(options: Partial<CacheOptions<Row>> = {}, limits: Partial<LocalOptions> = {}) {
    const keys = cacheKeys(server.namespace(), 'row')
    await server.allow(keys)
    return open({ redis, direct, subscriber, keys }, options, limits)
  }

  test('keeps a copy no longer than the value is fresh in Redis', async () => {
    const { cache, writer, source } = await setUp({ ttlMs: 1_500, staleMs: 0, beta: 0 })
    source.write('a')
    await writer.get('a', source.loader('a'))
    await sleep(500)
    expect((await cache.get('a', source.loader('a'))).source).toBe('hit')
    expect((await cache.get('a', source.loader('a'))).source).toBe('hit-local')
    await sleep(1_200)
    expect((await cache.get('a', source.loader('a'))).source).not.toBe('hit-local')
  })

  test('keeps a copy no longer than it is told to', async () => {
    const { cache, source } = await setUp({}, { ttlMs: 300 })
    source.write('a')
    await cache.get('a', source.loader('a'))
    expect((await cache.get('a', source.loader('a'))).source).toBe('hit-local')
    await until(async () => expect((await cache.get('a', source.loader('a'))).source).toBe('hit'))
  })

  test('drops copies by tag, by its own invalidations at once and by those of others when it hears of them', async () => {
    const { cache, writer, source } = await setUp()
    const read = () => cache.get('a', source.loader('a'), { tags: ['tea, {green}'] })
    source.write('a')
    await read()
    expect((await read()).source).toBe('hit-local')
    source.write('a')
    await cache.invalidateTag('tea, {green}')
    expect(await read()).toMatchObject({ value: { version: 2 }, source: 'miss' })
    source.write('a')
    await writer.invalidateTag('tea, {green}')
    await until(async () => expect((await read()).value?.version).toBe(3))
  })

  test('remembers what does not exist', async () => {
    const { cache, writer, source } = await setUp()
    await cache.get('no', source.loader('no'))
    expect(await cache.get('no', source.loader('no'))).toEqual({ value: undefined, source: 'hit-local' })
    await writer.put('no', async () => source.write('no'))
    await until(async () => expect((await cache.get('no', source.loader('no'))).value?.version).toBe(1))
  })

  test('hands out values that nobody can change', async () => {
    const { cache, source } = await setUp()
    source.write('a')
    const { value } = await cache.get('a', source.loader('a'))
    expect(() => Object.assign(value as Row, { version: 9 })).toThrow(TypeError)
  })

  test('keeps copies of bytes apart from the buffers they arrived in', async () => {
    const { cache } = await setUp()
    const load = async () => Buffer.from('[1, 2]')
    await cache.getBytes('a', load)
    const { value, source } = await cache.getBytes('a', load)
    expect(source).toBe('hit-local')
    expect(value?.toString()).toBe('[1, 2]')
    expect(value?.buffer.byteLength).toBe(6)
  })
})

/** A cache with copies, and the writer that it hears of. */
async function open(
  { redis, direct, subscriber, keys }: { redis: Redis; direct: Redis; subscriber: Subscriber; keys: CacheKeys },
  options: Partial<CacheOptions<Row>> = {},
  limits: Partial<LocalOptions> = {},
) {
  const common = { keys, ttlMs: HOUR_MS, deadlineMs: 8_000, ...options }
  const cache = createCache<Row>(redis, { ...common, local: { subscriber, ...limits } })
  const writer = createCache<Row>(direct, common)
  onTestFinished(async () => void (await Promise.all([cache.close(), writer.close()])))
  const source = createSource()
  source.write('warm')
  await until(async () => expect((await cache.get('warm', source.loader('warm'))).source).toBe('hit-local'))
  return { cache, writer, source }
}

test('an answer of Redis that was overtaken by an invalidation is not kept', async () => {
  const server = await testRedis()
  const proxy = await startFaultProxy({ port: Number(new URL(server.url).port) })
  const [redis, direct] = [proxy.via(server.url), server.url].map((url) =>
    connectRedis(url, { name: 'l1', commandTimeoutMs: 9_000 }),
  )
  const subscriber = connectSubscriber(server.url, { name: 'l1', commandTimeoutMs: 9_000 })
  onTestFinished(async () => {
    await proxy.heal()
    await Promise.all([subscriber.close(), redis && closeRedis(redis), direct && closeRedis(direct)])
    await proxy.stop()
  })
  if (!redis || !direct) throw new Error('no connections')
  await Promise.all([whenReady(redis, 9_000), whenReady(direct, 9_000)])
  const keys = cacheKeys(server.namespace(), 'row')
  const { cache, writer, source } = await open({ redis, direct, subscriber, keys })
  source.write('a')
  await writer.get('a', source.loader('a'))
  proxy.delay(200)
  proxy.resetCounters()
  const read = cache.get('a', source.loader('a')) // Redis has answered; the answer is on its way
  await until(() => expect(proxy.counters().packetsToServer).toBe(1))
  await sleep(20)
  source.write('a')
  await writer.invalidate('a')
  expect((await read).value?.version).toBe(1)
  expect(await cache.get('a', source.loader('a'))).toMatchObject({ value: { version: 2 }, source: 'miss' })
})
