/** What a cache does when Redis, or the line on which it hears invalidations, is slow, silent or gone. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import { Redis as Operator } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { BreakerOpen, createBreaker } from '../circuit-breaker/circuit-breaker.ts'
import {
  closeRedis,
  connectRedis,
  connectSubscriber,
  type Redis,
  type Subscriber,
  whenReady,
} from '../connection/connection.ts'
import { isRedisOutage } from '../errors.ts'
import { type Cache, type CacheEvent, type CacheOptions, cacheKeys, createCache, LoaderOverloaded } from './cache.ts'
import { bytesCodec } from './codec.ts'
import { startChildren } from './fixtures/children.ts'
import { createSource, type Row } from './fixtures/source.ts'

const HOUR_MS = 3_600_000
const until = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 15_000, interval: 5 })

let server: RedisServer
let proxy: FaultProxy
let testCount = 0

beforeAll(async () => {
  server = await startRedis()
  proxy = await startFaultProxy({ port: server.port })
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
})
beforeEach(async () => {
  await proxy.heal()
  testCount++
})

/** A cache whose connection goes by way of the proxy. A command's own deadline is far above the cache's. */
const COMMAND_TIMEOUT_MS = 3_000

async function setUp(options: Partial<CacheOptions<Row>> = {}, url = proxy.url) {
  const redis = connectRedis(url, { name: 'cache-outage', commandTimeoutMs: COMMAND_TIMEOUT_MS })
  await whenReady(redis, 10_000)
  const events: CacheEvent[] = []
  const errors: unknown[] = []
  const build = (by: Redis, more: Partial<CacheOptions<Row>> = {}) => {
    const cache = createCache<Row>(by, {
      keys: cacheKeys(`outage${testCount}`, 'row'),
      ttlMs: HOUR_MS,
      deadlineMs: 100,
      onEvent(event, detail) {
        events.push(event)
        if (detail?.error) errors.push(detail.error)
      },
      ...options,
      ...more,
    })
    onTestFinished(() => cache.close())
    return cache
  }
  onTestFinished(() => closeRedis(redis))
  const cache = build(redis)
  onTestFinished(() => proxy.heal()) // first of all, or closing waits for answers that do not come
  return { redis, events, errors, build, cache, source: createSource() }
}

async function connectDirectly(): Promise<Redis> {
  const redis = connectRedis(server.url, { name: 'cache-writer', commandTimeoutMs: 10_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}

describe('without Redis', () => {
  test.each([
    ['is gone', () => proxy.refuse()],
    ['says nothing', () => proxy.blackHole()],
    ['is slow', () => proxy.delay(5_000)],
  ])('when it %s, reads are answered by the source, long before a command gives up', async (_, fault) => {
    const { cache, source } = await setUp()
    source.write('a')
    await cache.get('a', source.loader('a'))
    await fault()
    const before = performance.now()
    expect(await cache.get('a', source.loader('a'))).toEqual({ value: { id: 'a', version: 1 }, source: 'bypass' })
    expect(performance.now() - before).toBeLessThan(COMMAND_TIMEOUT_MS)
  })

  test('the source is asked by a bounded number at once, and what does not fit into the queue is refused', async () => {
    const { cache, source } = await setUp({ maxLoadCount: 4, maxQueuedCount: 10 })
    await proxy.refuse()
    const release = source.hold()
    const refusals: unknown[] = []
    const reads = Array.from({ length: 30 }, (_, n) =>
      cache.get(`id-${n}`, source.loader(`id-${n}`)).catch((error) => void refusals.push(error)),
    )
    await until(() => expect(refusals).toHaveLength(16))
    for (const refusal of refusals) expect(refusal).toBeInstanceOf(LoaderOverloaded)
    expect(cache.stats()).toMatchObject({ runningCount: 4, queuedCount: 10 })
    release()
    await Promise.all(reads)
    expect(refusals).toHaveLength(16)
    expect(source.counts.maxRunning).toBe(4)
    expect(cache.stats()).toMatchObject({ runningCount: 0, queuedCount: 0 })
  })

  test('reads of one id still share one load', async () => {
    const { cache, source } = await setUp()
    await proxy.refuse()
    await Promise.all(Array.from({ length: 100 }, () => cache.get('a', source.loader('a'))))
    expect(source.counts.loads).toBe(1)
  })

  test.each([
    ['is gone', () => proxy.refuse()],
    ['says nothing', () => proxy.blackHole()],
  ])('when it %s, reads of one id that come one after another load one at a time', async (_, fault) => {
    const { cache, source } = await setUp()
    await cache.get('warm', source.loader('warm'))
    await fault()
    const reads = []
    for (let n = 0; n < 300; n++) {
      reads.push(cache.get('a', source.loader('a')))
      await turn()
    }
    await Promise.all(reads)
    expect(source.counts.maxRunning).toBe(1)
  })

  test('after some failures nobody asks it any more, and when it is back it is used again by itself', async () => {
    const breaker = createBreaker({ name: 'cache', isFailure: isRedisOutage, minimumCount: 5, openMs: 300 })
    onTestFinished(() => breaker.close())
    const { cache, errors, source } = await setUp({ breaker, deadlineMs: 20 })
    source.write('a')
    proxy.blackHole()
    await until(async () => {
      await cache.get('a', source.loader('a'))
      expect(errors.at(-1)).toBeInstanceOf(BreakerOpen)
    })
    expect(breaker.state()).toBe('open')
    await proxy.heal()
    await until(async () => expect((await cache.get('a', source.loader('a'))).source).toBe('hit'))
  })

  test('an invalidation says that it did not happen', async () => {
    const { cache } = await setUp()
    await proxy.refuse()
    const error = await cache.invalidate('a').catch((thrown) => thrown)
    expect(isRedisOutage(error)).toBe(true)
  })

  test('a write through it is written to the source, and says that the cache could not be told', async () => {
    const { cache, source } = await setUp()
    await proxy.refuse()
    expect(await cache.put('a', async () => source.write('a'))).toEqual({
      value: { id: 'a', version: 1 },
      outcome: 'unreachable',
    })
  })

  test('a load whose lease was granted and never heard of keeps nobody waiting', async () => {
    const { cache, source } = await setUp({ leaseMs: 30_000, deadlineMs: 5_000 })
    source.write('a')
    const sprung = proxy.cutAfterNextRequest('evalsha')
    const first = cache.get('a', source.loader('a'))
    await sprung
    await first
    const direct = await connectDirectly()
    const other = createCache<Row>(direct, { keys: cacheKeys(`outage${testCount}`, 'row'), ttlMs: HOUR_MS })
    onTestFinished(() => other.close())
    expect((await other.get('a', source.loader('a'))).value?.version).toBe(1)
  })

  test('whoever waits for another process goes to the source when the wait gets too long', async () => {
    const { build, cache, events, source } = await setUp({ leaseMs: 30_000, waitMs: 200 })
    source.write('a')
    const release = source.hold()
    const holder = cache.get('a', source.loader('a'))
    await until(() => expect(source.counts.running).toBe(1))
    const waiting = build(await connectDirectly()).get('a', source.loader('a'))
    await until(() => expect(events).toContain('wait-timeout'))
    release()
    expect((await waiting).source).toBe('bypass')
    expect((await holder).source).toBe('miss')
  })
})

test('a server that was killed is missed by nobody, and used again after its restart', {
  timeout: 60_000,
}, async () => {
  const own = await startRedis()
  onTestFinished(() => own.stop())
  const { cache, source } = await setUp({ maxLoadCount: 8 }, own.url)
  for (let n = 0; n < 100; n++) source.write(`id-${n}`)
  const readAll = () =>
    Promise.all(Array.from({ length: 100 }, (_, n) => cache.get(`id-${n}`, source.loader(`id-${n}`))))
  await readAll()
  const reading = Promise.all([readAll(), readAll()])
  await own.kill('SIGKILL')
  for (const { value } of (await reading).flat()) expect(value?.version).toBe(1)
  for (const answer of await readAll()) expect(answer).toMatchObject({ value: { version: 1 }, source: 'bypass' })
  expect(source.counts.maxRunning).toBeLessThanOrEqual(8)
  await own.restart()
  await until(async () => expect((await cache.get('id-1', source.loader('id-1'))).source).toBe('hit'))
})

describe('under load', () => {
  const LOAD_MS = 2
  const MAX_LOAD_COUNT = 16
  const OUTAGE_MS = 5_000

  /** About two thousand reads a second of two thousand ids, until it is told to stop. */
  function readSteadily(cache: Cache<Buffer>, load: (id: string) => Promise<Buffer>) {
    const seen = { count: 0, failures: [] as unknown[], tookMs: [] as number[], pendingCount: 0 }
    async function read() {
      const id = `id-${Math.floor(Math.random() * 2_000)}`
      const startedAtMs = performance.now()
      seen.count++
      seen.pendingCount++
      await cache.get(id, () => load(id)).catch((error) => seen.failures.push(error))
      seen.pendingCount--
      seen.tookMs.push(performance.now() - startedAtMs)
    }
    const timer = setInterval(() => {
      for (let n = 0; n < 10; n++) void read()
    }, 5)
    onTestFinished(() => clearInterval(timer))
    const p99Ms = () => seen.tookMs.toSorted((a, b) => a - b)[Math.floor(seen.tookMs.length * 0.99)] ?? 0
    return { seen, p99Ms }
  }

  test.for([
    ['killed', (own: RedisServer) => own.kill('SIGKILL'), (own: RedisServer) => own.restart()],
    ['frozen', (own: RedisServer) => own.kill('SIGSTOP'), (own: RedisServer) => own.kill('SIGCONT')],
  ] as const)(
    'a server that is %s fails no read, and neither the source nor the memory feels more than its share',
    {
      timeout: 60_000,
    },
    async ([, stop, goOn], { annotate }) => {
      const own = await startRedis()
      onTestFinished(() => own.stop())
      const redis = connectRedis(own.url, { name: 'cache-outage', commandTimeoutMs: 500 })
      onTestFinished(() => closeRedis(redis))
      await whenReady(redis, 10_000)
      const keys = cacheKeys('shop', 'load')
      const cache = createCache(redis, { keys, ttlMs: HOUR_MS, codec: bytesCodec, maxLoadCount: MAX_LOAD_COUNT })
      onTestFinished(() => cache.close())
      const row = randomBytes(1_200)
      const loads = { runningCount: 0, maxRunningCount: 0, count: 0 }
      async function load() {
        loads.count++
        loads.maxRunningCount = Math.max(loads.maxRunningCount, ++loads.runningCount)
        await sleep(LOAD_MS)
        loads.runningCount--
        return row
      }

      const { seen, p99Ms } = readSteadily(cache, load)
      await until(async () => expect((await cache.get('id-1', load)).source).toBe('hit'))
      await sleep(1_000)
      const heapBytes = heapInUse()
      seen.tookMs = []
      await stop(own)
      await sleep(OUTAGE_MS)
      const p99WithoutMs = p99Ms()
      const grownBytes = heapInUse() - heapBytes
      expect(cache.stats().breaker).not.toBe('closed')
      await goOn(own)
      const backAtMs = performance.now()
      await until(async () => expect((await cache.get('id-1', load)).source).toBe('hit'))
      const recoveryMs = performance.now() - backAtMs

      const { count, failures } = seen
      const figures = { count, p99WithoutMs, grownBytes, recoveryMs, maxRunningCount: loads.maxRunningCount }
      await annotate(JSON.stringify(figures, (_, value) => (typeof value === 'number' ? Math.round(value) : value)))
      expect(failures).toEqual([])
      expect(count).toBeGreaterThan(2_000)
      expect(loads.maxRunningCount).toBeLessThanOrEqual(MAX_LOAD_COUNT)
      expect(grownBytes).toBeLessThan(10 * 2 ** 20)
      expect(p99WithoutMs).toBeLessThan(1_000)
      expect(recoveryMs).toBeLessThan(5_000)
    },
  )
})

/** After a collection: what is really held. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

describe('copies in memory', () => {
  /** What keys, channels and their patterns have to get right, by id and by tag. */
  const ROWS = [
    { id: 'plain' },
    { id: 'a,b' },
    { id: '{a} b}{' },
    { id: '日本語 ✓' },
    { id: 'tagged', tags: ['tea'] },
    { id: 'tagged, too', tags: ['tea, {green} ✓'] },
  ]

  /** The cache reads Redis directly and hears invalidations by way of the proxy; the writer is another process. */
  async function setUpCopies(wrap = (subscriber: Subscriber) => subscriber) {
    const namespace = `outage${testCount}`
    const subscriber = connectSubscriber(proxy.url, { name: 'cache-subscriber', commandTimeoutMs: 10_000 })
    onTestFinished(() => subscriber.close())
    const { url } = server
    const [writer] = await startChildren(1, { url, sourceUrl: url, namespace, hasCopies: false })
    const local = { subscriber: wrap(subscriber) }
    const { cache, source } = await setUp({ local, deadlineMs: 5_000 }, url)

    const readAll = () => Promise.all(ROWS.map(({ id, tags }) => cache.get(id, source.loader(id), { tags })))
    const versions = async () => (await readAll()).map(({ value }) => value?.version)
    const sources = async () => (await readAll()).map((answer) => answer.source)
    async function write() {
      for (const { id } of ROWS) source.write(id)
      const ids = ROWS.flatMap(({ id, tags }) => (tags ? [] : [id]))
      await writer?.run({ task: 'invalidate', ids, tags: ROWS.flatMap(({ tags }) => tags ?? []) })
    }
    for (const { id } of ROWS) source.write(id)
    await until(async () => expect(await sources()).toEqual(ROWS.map(() => 'hit-local')))
    return { versions, sources, write }
  }
  const all = <T>(value: T) => ROWS.map(() => value)

  test('are dropped when another process invalidates', async () => {
    const { versions, sources, write } = await setUpCopies()
    await write()
    await until(async () => expect(await versions()).toEqual(all(2)))
    await until(async () => expect(await sources()).toEqual(all('hit-local')))
  })

  test('are not served 100 ms after the line was cut, and are used again once it is back', async () => {
    const { versions, sources, write } = await setUpCopies()
    await proxy.refuse()
    await write()
    await sleep(100)
    expect(await versions()).toEqual(all(2))
    expect(await sources()).toEqual(all('hit'))
    await proxy.heal()
    await until(async () => expect(await sources()).toEqual(all('hit-local')))
    expect(await versions()).toEqual(all(2))
  })

  test('are not served when the line was cut and is back, and the message was lost in between', async () => {
    const { versions, write } = await setUpCopies()
    await proxy.refuse()
    await write()
    await proxy.heal()
    await sleep(100)
    expect(await versions()).toEqual(all(2))
  })

  test('are not served 100 ms after a write, however often the server kills the connection meanwhile', async () => {
    const { versions, sources, write } = await setUpCopies()
    const admin = new Operator(server.url)
    onTestFinished(() => admin.disconnect())
    for (let version = 2; version <= 12; version++) {
      const [, killed] = await Promise.all([write(), admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')])
      expect(killed).toBe(1)
      await sleep(100)
      expect(await versions()).toEqual(all(version))
      await until(async () => expect(await sources()).toEqual(all('hit-local')))
    }
  })

  test('are not served three seconds after the line fell silent', async () => {
    const { versions, write } = await setUpCopies()
    proxy.blackHole()
    await write()
    await sleep(3_000)
    expect(await versions()).toEqual(all(2))
  })

  test('are served stale by a cache that ignores gaps, so these tests are able to fail', async () => {
    const deaf = (subscriber: Subscriber): Subscriber => ({
      ...subscriber,
      onGap: () => () => {},
      isHealthy: () => true,
    })
    const { versions, sources, write } = await setUpCopies(deaf)
    await proxy.refuse()
    await write()
    await proxy.heal()
    await sleep(100)
    expect(await versions()).toEqual(all(1))
    expect(await sources()).toEqual(all('hit-local'))
  })
})
