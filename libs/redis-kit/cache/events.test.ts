/** What a cache tells whoever counts: nothing goes uncounted, and nothing is counted twice. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '../connection/connection.ts'
import {
  type CacheEvent,
  type CacheEventDetail,
  type CacheOptions,
  createCache,
  LoaderOverloaded,
  LoadTimeout,
} from './cache.ts'
import { createSource, type Row, rowKeys } from './fixtures/source.ts'

const until = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 10_000, interval: 5 })
const server = await testRedis()

/** Two caches of the same keys whose events are heard together; the connection of the first breaks on command. */
async function setUp(options: Partial<CacheOptions<Row>> = {}) {
  const proxy = await startFaultProxy({ port: Number(new URL(server.url).port) })
  const url = proxy.via(server.url)
  const redis = connectRedis(url, { name: 'events', commandTimeoutMs: 9_000 })
  const subscriber = connectSubscriber(url, { name: 'events', commandTimeoutMs: 9_000 })
  await whenReady(redis, 9_000)
  const keys = rowKeys(server.namespace())
  const heard: [CacheEvent, CacheEventDetail | undefined][] = []
  const onEvent = (event: CacheEvent, detail?: CacheEventDetail) => void heard.push([event, detail])
  const build = (more: Partial<CacheOptions<Row>> = {}) =>
    createCache<Row>(redis, { keys, ttlMs: 600_000, deadlineMs: 5_000, leaseMs: 20_000, onEvent, ...options, ...more })
  const [cache, other] = [build(), build()]
  onTestFinished(async () => {
    await proxy.heal()
    await Promise.all([cache.close(), other.close()])
    await Promise.all([subscriber.close(), closeRedis(redis)])
    await proxy.stop()
  })
  const counts = () =>
    heard.reduce<Partial<Record<CacheEvent, number>>>((all, [event]) => {
      all[event] = (all[event] ?? 0) + 1
      return all
    }, {})
  const detailOf = (event: CacheEvent) => heard.find(([name]) => name === event)?.[1]
  return { cache, other, build, subscriber, proxy, source: createSource(), heard, counts, detailOf }
}

test('each read is counted once, and a load that many wait for is one load', async () => {
  const { cache, source, counts } = await setUp()
  source.write('a')
  await Promise.all(Array.from({ length: 10 }, () => cache.get('a', source.loader('a'))))
  await cache.get('a', source.loader('a'))
  expect(counts()).toEqual({ load: 1, miss: 10, hit: 1 })
})

test('the loader of many is called once, and that is one load', async () => {
  const { cache, counts } = await setUp()
  await cache.many(['a', 'b', 'c'], async (ids) => new Map(ids.map((id) => [id, { id, version: 1 }])))
  expect(counts()).toEqual({ load: 1, miss: 3 })
})

test('a load says how long the source took, and a read around Redis is a load too', async () => {
  const { build, proxy, counts, detailOf } = await setUp()
  const cache = build({ deadlineMs: 100 })
  await proxy.refuse()
  await cache.get('a', async () => {
    await sleep(30)
    return { id: 'a', version: 1 }
  })
  expect(counts()).toMatchObject({ load: 1, bypass: 1 })
  expect(detailOf('load')?.durationMs).toBeGreaterThan(25)
})

test('a load that fails says why, one that takes too long as well, and one without a place was never made', async () => {
  const { build, detailOf, heard } = await setUp({ leaseMs: 100, maxLoadCount: 1, maxQueuedCount: 1 })
  const cache = build()
  const error = new Error('the source is down')
  await cache.get('a', () => Promise.reject(error)).catch(() => {})
  expect(detailOf('load-failed')).toMatchObject({ error, durationMs: expect.any(Number) })
  const load = vi.fn(() => new Promise<never>(() => {}))
  await Promise.allSettled(['b', 'c', 'd'].map((id) => cache.get(id, load)))
  expect(load).toHaveBeenCalledTimes(1)
  const errorsOf = (name: CacheEvent) => heard.flatMap(([event, detail]) => (event === name ? [detail?.error] : []))
  expect(errorsOf('load-failed')).toEqual([error, expect.any(LoadTimeout)])
  expect(errorsOf('load-refused')).toEqual([expect.any(LoaderOverloaded), expect.any(LoadTimeout)])
})

test('a wait for the load of another says how long it was, and a refused fill is counted', async () => {
  const { cache, other, source, counts, detailOf } = await setUp()
  source.write('a')
  const release = source.hold()
  const reads = [cache.get('a', source.loader('a'))]
  await until(() => expect(source.counts.running).toBe(1))
  reads.push(other.get('a', source.loader('a')))
  await sleep(50)
  release()
  await Promise.all(reads)
  expect(counts()).toEqual({ load: 1, miss: 1, hit: 1, wait: 1 })
  expect(detailOf('wait')?.durationMs).toBeGreaterThan(25)

  const holdAgain = source.hold()
  const late = cache.get('b', source.loader('b'))
  await until(() => expect(source.counts.running).toBe(1))
  await other.invalidate('b')
  holdAgain()
  await late
  expect(counts()).toMatchObject({ void: 1, invalidate: 1 })
})

test('a gap flushes the copies and says why; the start and the end are no gaps', async () => {
  const { build, subscriber, proxy, source, heard, counts } = await setUp()
  const cache = build({ local: { subscriber } })
  source.write('a')
  await until(async () => expect((await cache.get('a', source.loader('a'))).source).toBe('hit-local'))
  expect(cache.stats()).toMatchObject({ copyCount: 1, breaker: 'closed' })
  expect(cache.stats().copyBytes).toBeGreaterThan(20)
  expect(counts()['local-flush']).toBeUndefined()
  proxy.cut()
  await until(() => expect(counts()['local-flush']).toBe(2))
  const reasons = heard.flatMap(([event, detail]) => (event === 'local-flush' ? [detail?.reason] : []))
  expect(reasons).toEqual(['the connection was lost', 'subscribed again'])
  await cache.close()
  expect(counts()['local-flush']).toBe(2)
  expect(cache.stats()).toMatchObject({ copyCount: 0, copyBytes: 0 })
})
