import { setTimeout as sleep } from 'node:timers/promises'
import { cacheKeys, createCache } from '@shop/redis-kit/cache'
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '@shop/redis-kit/connection'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createHealth } from '../process/health.ts'
import { copiesProbe, createCacheMetrics } from './cache-metrics.ts'
import { createMetrics } from './metrics.ts'
import { seriesValue } from './series.fixture.ts'

const server = await testRedis()

async function setUp() {
  const metrics = createMetrics({ service: 'catalog', instanceId: 'catalog-1' })
  const cacheMetrics = createCacheMetrics(metrics)
  const redis = connectRedis(server.url, { name: 'metrics', commandTimeoutMs: 9_000 })
  const subscriber = connectSubscriber(server.url, { name: 'metrics', commandTimeoutMs: 9_000 })
  await whenReady(redis, 9_000)
  const build = (name: string) => {
    const cache = createCache<string>(redis, {
      keys: cacheKeys(server.namespace(), name),
      ttlMs: 60_000,
      deadlineMs: 9_000,
      local: { subscriber },
      onEvent: cacheMetrics.onEvent(name),
    })
    cacheMetrics.watch(name, cache)
    onTestFinished(() => cache.close())
    return cache
  }
  onTestFinished(async () => void (await Promise.all([subscriber.close(), closeRedis(redis)])))
  const value = (name: string, labels: Record<string, string>) => seriesValue(metrics, name, labels)
  return { build, value, subscriber }
}

test('reads, loads and what is kept are counted for each cache by its name', async () => {
  const { build, value } = await setUp()
  const [products, categories] = [build('products'), build('categories')]
  const slow = async () => {
    await sleep(5)
    return 'tea'
  }
  await vi.waitFor(async () => expect((await products.get('warm', slow)).source).toBe('hit-local'))
  const loads = await value('cache_load_duration_seconds_count', { cache: 'products', outcome: 'loaded' })
  await products.get('a', slow)
  await Promise.all(Array.from({ length: 10 }, () => products.get('a', slow)))
  await categories.get('all', () => Promise.reject(new Error('down'))).catch(() => {})
  await categories.invalidate('all')

  expect(await value('cache_reads_total', { cache: 'products', source: 'miss' })).toBeGreaterThanOrEqual(2)
  expect(await value('cache_reads_total', { cache: 'products', source: 'hit-local' })).toBeGreaterThanOrEqual(11)
  expect(await value('cache_reads_total', { cache: 'categories', source: 'hit-local' })).toBe(0)
  expect(await value('cache_load_duration_seconds_count', { cache: 'products', outcome: 'loaded' })).toBe(
    (loads as number) + 1,
  )
  expect(await value('cache_load_duration_seconds_sum', { cache: 'products', outcome: 'loaded' })).toBeGreaterThan(
    0.004,
  )
  expect(await value('cache_load_duration_seconds_count', { cache: 'categories', outcome: 'failed' })).toBe(1)
  expect(await value('cache_invalidations_total', { cache: 'categories' })).toBe(1)
  expect(await value('cache_invalidations_total', { cache: 'products' })).toBe(0)
  expect(await value('cache_copies', { cache: 'products' })).toBe(2)
  expect(await value('cache_copies_usable', { cache: 'products' })).toBe(1)
  expect(await value('cache_copies_bytes', { cache: 'products' })).toBeGreaterThan(400)
  expect(await value('cache_copies', { cache: 'categories' })).toBe(0)
  expect(await value('cache_breaker_state', { cache: 'products', state: 'closed' })).toBe(1)
  expect(await value('cache_breaker_state', { cache: 'products', state: 'open' })).toBe(0)
})

test('a page that is read twice says the same twice', async () => {
  const { build, value } = await setUp()
  await build('products').invalidate('a')
  await value('cache_invalidations_total', { cache: 'products' })
  expect(await value('cache_invalidations_total', { cache: 'products' })).toBe(1)
})

test('every event is counted by some metric', async () => {
  const metrics = createMetrics({ service: 's', instanceId: 's-1' })
  const onEvent = createCacheMetrics(metrics).onEvent('c')
  const counted = async () => {
    const { text } = await metrics.page()
    return text.split('\n').filter((line) => /^cache_.* [1-9]/.test(line)).length
  }
  for (const event of ['hit-local', 'hit', 'stale', 'miss', 'bypass'] as const) onEvent(event)
  expect(await counted()).toBe(5)
  const others = ['void', 'invalidate', 'tag-mismatch', 'local-flush', 'local-error', 'load-refused'] as const
  const more = ['wait-timeout', 'refresh-failed', 'refused', 'unreadable', 'redis-error'] as const
  for (const event of [...others, ...more]) onEvent(event)
  expect(await counted()).toBe(16)
})

test('copies that are off are a metric, and degrade the service with the reason', async () => {
  const { build, value, subscriber } = await setUp()
  const products = build('products')
  const health = createHealth([copiesProbe('copies-products', products)], { cacheMs: 0 })
  await vi.waitFor(async () => expect((await health.ready()).status).toBe('ready'))
  await subscriber.close()
  expect(await health.ready()).toMatchObject({
    status: 'degraded',
    checks: [{ name: 'copies-products', required: false, error: 'SUBSCRIBER-UNHEALTHY' }],
  })
  expect(await value('cache_copies_usable', { cache: 'products' })).toBe(0)
})
