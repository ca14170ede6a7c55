/** What a cache promises while Redis works, over every topology. Outages, races and stampedes have files of their own. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import {
  type Cache,
  type CacheEvent,
  type CacheOptions,
  cacheKeys,
  createCache,
  type Load,
  LoadTimeout,
  ValueTooLarge,
} from './cache.ts'
import { createSource, type Row } from './fixtures/source.ts'
import { cacheServer, topologies } from './fixtures/topology.fixture.ts'
import { messagePackCodec } from './messagepack.ts'

const HOUR_MS = 3_600_000
const until = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 10_000, interval: 5 })
/** Long enough for a machine that does ten other things: these tests are not about deadlines. */
const PATIENT = { ttlMs: HOUR_MS, deadlineMs: 5_000, leaseMs: 20_000 }

describe.each(topologies)('on %s', async (topology) => {
  const server = await cacheServer(topology)
  const redis = connectRedis(server.url, { name: 'cache-test', commandTimeoutMs: 5_000 })
  const plain = server.connect()
  await whenReady(redis, 10_000)
  afterAll(() => closeRedis(redis))

  async function setUp<Value = Row>(options: Partial<CacheOptions<Value>> = {}) {
    const keys = cacheKeys(server.namespace(), 'row')
    await server.allow(keys)
    const events: CacheEvent[] = []
    const errors: unknown[] = []
    const build = (more: Partial<CacheOptions<Value>> = {}): Cache<Value> => {
      const cache = createCache<Value>(redis, {
        ...PATIENT,
        keys,
        onEvent: (event, detail) => {
          events.push(event)
          if (detail?.error) errors.push(detail.error)
        },
        ...options,
        ...more,
      })
      onTestFinished(() => cache.close())
      return cache
    }
    return { keys, events, errors, build, cache: build(), source: createSource() }
  }

  test('the first read loads and the second finds it in Redis', async () => {
    const { cache, source } = await setUp()
    source.write('a')
    expect(await cache.get('a', source.loader('a'))).toEqual({ value: { id: 'a', version: 1 }, source: 'miss' })
    expect(await cache.get('a', source.loader('a'))).toEqual({ value: { id: 'a', version: 1 }, source: 'hit' })
    expect(source.counts.loads).toBe(1)
  })

  test.each(['a,b', '{a}', 'a}{b', 'a b', 'a\nb', 'a:b', '日本語 ✓', '*?[a]', '%7B', 'x'.repeat(500)])(
    'the id %j is a key like any other',
    async (id) => {
      const { cache, source } = await setUp()
      source.write(id)
      await cache.get(id, source.loader(id))
      expect(await cache.get(id, source.loader(id))).toEqual({ value: { id, version: 1 }, source: 'hit' })
      source.write(id)
      await cache.invalidate(id)
      expect(await cache.get(id, source.loader(id))).toEqual({ value: { id, version: 2 }, source: 'miss' })
    },
  )

  test('a thousand reads at once are one load', async () => {
    const { build, source } = await setUp()
    source.write('hot')
    const caches = [build(), build(), build(), build()]
    const release = source.hold()
    const reads = caches.flatMap((cache) => Array.from({ length: 250 }, () => cache.get('hot', source.loader('hot'))))
    await until(() => expect(source.counts.running).toBe(1))
    release()
    for (const { value } of await Promise.all(reads)) expect(value?.version).toBe(1)
    expect(source.counts.loads).toBe(1)
  })

  describe('invalidation', () => {
    test('voids a load that is under way: what it read is not stored', async () => {
      const { cache, events, source } = await setUp()
      source.write('a')
      const release = source.hold()
      const early = cache.get('a', source.loader('a'))
      await until(() => expect(source.counts.running).toBe(1))
      source.write('a')
      await cache.invalidate('a')
      release()
      expect((await early).value?.version).toBe(1)
      expect(events).toContain('void')
      expect(await cache.get('a', source.loader('a'))).toMatchObject({ value: { version: 2 }, source: 'miss' })
    })

    test('is seen by a read that begins after it, though an older load is still under way', async () => {
      const { cache, source } = await setUp()
      source.write('a')
      const release = source.hold()
      const early = cache.get('a', source.loader('a'))
      await until(() => expect(source.counts.running).toBe(1))
      source.write('a')
      await cache.invalidate('a')
      const late = cache.get('a', source.loader('a'))
      release()
      expect((await late).value?.version).toBe(2)
      expect((await early).value?.version).toBe(1)
    })

    test('by another process is seen by whoever joins a load that began before it', async () => {
      const { build, cache, source } = await setUp()
      const other = build()
      source.write('a')
      const release = source.hold()
      const early = cache.get('a', source.loader('a'))
      await until(() => expect(source.counts.running).toBe(1))
      source.write('a')
      await other.invalidate('a')
      const joined = cache.get('a', source.loader('a'))
      release()
      expect((await joined).value?.version).toBe(2)
      expect((await early).value?.version).toBe(1)
    })

    test('wakes whoever waits for the voided load of another process', async () => {
      const { build, cache, source } = await setUp()
      const other = build()
      source.write('a')
      const release = source.hold()
      const early = cache.get('a', source.loader('a'))
      await until(() => expect(source.counts.running).toBe(1))
      const waiting = other.get('a', source.loader('a'))
      source.write('a')
      await other.invalidate('a')
      // Before the first load ends: the lease was deleted and the waiting one took it.
      await until(() => expect(source.counts.running).toBe(2))
      release()
      expect((await waiting).value?.version).toBe(2)
      await early
    })

    test('is not undone by memory pressure: a load whose lease was evicted stores nothing', async () => {
      const { cache, keys, source } = await setUp()
      source.write('a')
      const release = source.hold()
      const read = cache.get('a', source.loader('a'))
      await until(() => expect(source.counts.running).toBe(1))
      await plain.del(keys.lease.key('a'))
      release()
      expect((await read).value?.version).toBe(1)
      expect(await plain.exists(keys.value.key('a'))).toBe(0)
    })
  })

  describe('what does not exist', () => {
    test('is remembered, and is not the same as null', async () => {
      const { cache, source } = await setUp<Row | null>()
      expect(await cache.get('no', source.loader('no'))).toEqual({ value: undefined, source: 'miss' })
      expect(await cache.get('no', source.loader('no'))).toEqual({ value: undefined, source: 'hit' })
      await cache.get('null', async () => null)
      expect(await cache.get('null', async () => null)).toEqual({ value: null, source: 'hit' })
    })

    test('is believed for its own, shorter time', async () => {
      const { cache, keys, source } = await setUp({ negativeTtlMs: 2_000 })
      await cache.get('no', source.loader('no'))
      expect(await plain.pttl(keys.value.key('no'))).toBeLessThanOrEqual(2_200)
    })

    test('is forgotten when it comes to exist', async () => {
      const { cache, source } = await setUp()
      await cache.get('a', source.loader('a'))
      source.write('a')
      await cache.invalidate('a')
      expect(await cache.get('a', source.loader('a'))).toMatchObject({ value: { version: 1 }, source: 'miss' })
    })
  })

  describe('lifetimes', () => {
    test('differ by up to 10 % either way, so that what was filled together does not expire together', async () => {
      const { cache, keys } = await setUp({ ttlMs: 100_000, staleMs: 0 })
      const ids = Array.from({ length: 100 }, (_, index) => `id-${index}`)
      await cache.many(ids, async (missing) => new Map(missing.map((id) => [id, { id, version: 1 }])))
      const lefts = await Promise.all(ids.map((id) => plain.pttl(keys.value.key(id))))
      expect(Math.min(...lefts)).toBeGreaterThan(80_000)
      expect(Math.max(...lefts)).toBeLessThanOrEqual(110_000)
      expect(Math.max(...lefts) - Math.min(...lefts)).toBeGreaterThan(10_000)
    })

    test('longer than the declared keys allow are refused at once', () => {
      const keys = cacheKeys(server.namespace(), 'row', { ttlMs: 60_000 })
      expect(() => createCache(redis, { keys, ttlMs: 60_000 })).toThrow(RangeError)
      expect(() => createCache(redis, { keys, ttlMs: 20_000, leaseMs: 90_000 })).toThrow(RangeError)
    })

    test.each([
      'ttlMs',
      'staleMs',
      'negativeTtlMs',
      'leaseMs',
      'waitMs',
      'deadlineMs',
      'maxLoadCount',
      'maxQueuedCount',
      'compressAboveBytes',
      'maxValueBytes',
      'schemaVersion',
      'beta',
    ] as const)('and all other numbers are checked when the cache is made: %s', (name) => {
      const keys = cacheKeys(server.namespace(), 'row', { ttlMs: HOUR_MS })
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1, 2 ** 60, '1' as never]) {
        expect(() => createCache(redis, { keys, ttlMs: 1_000, [name]: value })).toThrow(RangeError)
        expect(() => createCache(redis, { keys, ttlMs: 1_000, [name]: value })).toThrow(name)
      }
    })

    test.each(['ttlMs', 'maxEntryCount', 'maxBytes'] as const)('of the copies too: %s', (name) => {
      const keys = cacheKeys(server.namespace(), 'row', { ttlMs: HOUR_MS })
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 2 ** 60]) {
        const local = { subscriber: undefined as never, [name]: value }
        expect(() => createCache(redis, { keys, ttlMs: 1_000, local })).toThrow(name)
      }
    })

    test('a stale value is served at once while one process loads the new one', async () => {
      const { build, source } = await setUp({ ttlMs: 30, staleMs: HOUR_MS, beta: 0, leaseMs: 30_000 })
      const caches = [build(), build(), build()]
      const read = (cache: Cache<Row>) => cache.get('a', source.loader('a'))
      source.write('a')
      await read(caches[0] as Cache<Row>)
      source.write('a')
      await sleep(50)
      const release = source.hold()
      const answers = await Promise.all([...caches, ...caches].map(read))
      for (const answer of answers) expect(answer).toEqual({ value: { id: 'a', version: 1 }, source: 'stale' })
      await until(() => expect(source.counts.running).toBe(1))
      release()
      await until(async () => expect((await read(caches[0] as Cache<Row>)).value?.version).toBe(2))
    })

    test('a stale value outlives loads that fail, and not its invalidation', async () => {
      const { cache, events } = await setUp({ ttlMs: 20, staleMs: HOUR_MS, beta: 0 })
      const failing: Load<Row> = () => Promise.reject(new Error('the source is down'))
      await cache.get('a', async () => ({ id: 'a', version: 1 }))
      await sleep(40)
      expect(await cache.get('a', failing)).toMatchObject({ value: { version: 1 }, source: 'stale' })
      await until(() => expect(events).toContain('refresh-failed'))
      expect(await cache.get('a', failing)).toMatchObject({ value: { version: 1 }, source: 'stale' })
      await cache.invalidate('a')
      await expect(cache.get('a', failing)).rejects.toThrow('the source is down')
    })

    test('a costly value is refreshed before it is stale', async () => {
      const { cache, source } = await setUp({ beta: 1e12 })
      source.write('a')
      const slow = async () => {
        await sleep(5)
        return source.load('a')
      }
      await cache.get('a', slow)
      expect((await cache.get('a', slow)).source).toBe('hit')
      await until(() => expect(source.counts.loads).toBe(2))
    })
  })

  describe('a load that fails', () => {
    test('fails the reads that waited for it, and the next one tries again at once', async () => {
      const { cache } = await setUp()
      const load = vi.fn<Load<Row>>().mockRejectedValueOnce(new Error('no')).mockResolvedValue({ id: 'a', version: 1 })
      const reads = await Promise.allSettled([cache.get('a', load), cache.get('a', load)])
      expect(reads.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
      expect(await cache.get('a', load)).toMatchObject({ value: { version: 1 }, source: 'miss' })
    })

    test('lets another process load that waited for it', async () => {
      const { build, source } = await setUp()
      source.write('a')
      const { promise, reject } = Promise.withResolvers<Row>()
      const failing = vi.fn(() => promise)
      const first = build().get('a', failing)
      await until(() => expect(failing).toHaveBeenCalled())
      const second = build().get('a', source.loader('a'))
      reject(new Error('no'))
      await expect(first).rejects.toThrow('no')
      expect((await second).value?.version).toBe(1)
    })

    test('by taking too long hears it from its signal', async () => {
      const { cache } = await setUp({ leaseMs: 50 })
      const aborted = Promise.withResolvers<unknown>()
      const load: Load<Row> = (signal) =>
        new Promise(() => signal.addEventListener('abort', () => aborted.resolve(signal.reason)))
      await expect(cache.get('a', load)).rejects.toBeInstanceOf(LoadTimeout)
      expect(await aborted.promise).toBeInstanceOf(LoadTimeout)
    })
  })

  describe('many', () => {
    test('asks the loader once for all that is missing', async () => {
      const { cache, source } = await setUp()
      for (const id of ['a', 'b', 'c']) source.write(id)
      await cache.get('b', source.loader('b'))
      const calls: (readonly string[])[] = []
      const loadMany = async (ids: readonly string[]) => {
        calls.push(ids)
        const rows = await Promise.all(ids.map(source.load))
        return new Map(rows.flatMap((row) => (row ? [[row.id, row] as const] : [])))
      }
      const found = await cache.many(['c', 'b', 'a', 'no', 'c'], loadMany)
      expect([...found.keys()]).toEqual(['c', 'b', 'a', 'no'])
      expect([...found.values()].map(({ source: from }) => from)).toEqual(['miss', 'hit', 'miss', 'miss'])
      expect(found.get('no')?.value).toBeUndefined()
      expect(calls.map((ids) => [...ids].sort())).toEqual([['a', 'c', 'no']])
      expect([...(await cache.many(['a', 'no'], loadMany)).values()].map(({ source: from }) => from)).toEqual([
        'hit',
        'hit',
      ])
      expect(await cache.many([], loadMany)).toEqual(new Map())
    })

    test('of two callers whose ids overlap do not wait for each other for ever', async () => {
      const { build } = await setUp()
      const rows = async (ids: readonly string[]) => new Map(ids.map((id) => [id, { id, version: 1 }]))
      const [first, second] = [build(), build()]
      const ids = Array.from({ length: 40 }, (_, index) => `id-${index}`)
      const all = await Promise.all([
        first.many(ids, rows),
        second.many(ids.toReversed(), rows),
        first.many(ids.slice(10), rows),
        second.get('id-5', async () => ({ id: 'id-5', version: 1 })),
      ])
      expect(all[0].size).toBe(40)
      expect(all[1].size).toBe(40)
    })

    test('fails with what the loader throws', async () => {
      const { cache } = await setUp()
      await expect(cache.many(['a', 'b'], () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    })
  })

  describe('tags', () => {
    test('invalidate every value that carries them, and no other', async () => {
      const { cache, source } = await setUp()
      for (const id of ['a', 'b', 'c']) source.write(id)
      const read = (id: string, tags: string[]) => cache.get(id, source.loader(id), { tags })
      const readAll = async () => {
        const answers = await Promise.all([read('a', ['tea', 'new, {odd} ✓']), read('b', ['tea']), read('c', ['mugs'])])
        return answers.map((answer) => answer.source)
      }
      expect(await readAll()).toEqual(['miss', 'miss', 'miss'])
      expect(await readAll()).toEqual(['hit', 'hit', 'hit'])
      await cache.invalidateTag('tea')
      expect(await readAll()).toEqual(['miss', 'miss', 'hit'])
      await cache.invalidateTag('new, {odd} ✓')
      expect(await readAll()).toEqual(['miss', 'hit', 'hit'])
    })

    test('void a load that is under way', async () => {
      const { build, cache, source } = await setUp()
      source.write('a')
      const read = (by: Cache<Row>) => by.get('a', source.loader('a'), { tags: ['tea'] })
      const release = source.hold()
      const early = read(cache)
      await until(() => expect(source.counts.running).toBe(1))
      source.write('a')
      await build().invalidateTag('tea')
      const joined = read(cache)
      release()
      expect((await joined).value?.version).toBe(2)
      await early
      expect(await read(cache)).toMatchObject({ value: { version: 2 }, source: 'hit' })
    })

    test('that were evicted match nothing, also when they come back', async () => {
      const { cache, keys, source } = await setUp()
      source.write('a')
      const read = (id: string) => cache.get(id, source.loader(id), { tags: ['tea'] })
      await read('a')
      await plain.del(keys.tag.key('tea'))
      await read('b') // stamps the tag anew
      expect((await read('a')).source).toBe('miss')
    })

    test('are part of what the reader asks for: a value without one of them will not do', async () => {
      const { cache, source } = await setUp()
      source.write('a')
      await cache.get('a', source.loader('a'), { tags: ['tea'] })
      expect((await cache.get('a', source.loader('a'), { tags: ['tea', 'new'] })).source).toBe('miss')
    })

    test('of a stale value make it void, not stale', async () => {
      const { cache, source } = await setUp({ ttlMs: 20, staleMs: HOUR_MS })
      source.write('a')
      await cache.get('a', source.loader('a'), { tags: ['tea'] })
      await sleep(40)
      source.write('a')
      await cache.invalidateTag('tea')
      expect(await cache.get('a', source.loader('a'), { tags: ['tea'] })).toMatchObject({ value: { version: 2 } })
    })
  })

  describe('put', () => {
    test('writes the source and the cache', async () => {
      const { cache, source } = await setUp()
      expect(await cache.put('a', async () => source.write('a'))).toEqual({
        value: { id: 'a', version: 1 },
        outcome: 'stored',
      })
      expect(await cache.get('a', source.loader('a'))).toMatchObject({ value: { version: 1 }, source: 'hit' })
      await cache.put('a', async () => void source.remove('a'))
      expect(await cache.get('a', source.loader('a'))).toEqual({ value: undefined, source: 'hit' })
    })

    test('keeps the expiry that every value has', async () => {
      const { cache, keys, source } = await setUp({ ttlMs: 60_000, staleMs: 0 })
      await cache.put('a', async () => source.write('a'))
      await cache.put('a', async () => source.write('a'))
      const leftMs = await plain.pttl(keys.value.key('a'))
      expect(leftMs).toBeGreaterThan(50_000)
      expect(leftMs).toBeLessThanOrEqual(66_000)
    })

    test('voids a load that began before it', async () => {
      const { cache, source } = await setUp()
      source.write('a')
      const release = source.hold()
      const early = cache.get('a', source.loader('a'))
      await until(() => expect(source.counts.running).toBe(1))
      await cache.put('a', async () => source.write('a'))
      release()
      await early
      expect(await cache.get('a', source.loader('a'))).toMatchObject({ value: { version: 2 }, source: 'hit' })
    })

    test.each(['first', 'second'] as const)(
      'of two writers at once leaves nothing stale when the %s ends first',
      async (winner) => {
        const { build, cache, keys, source } = await setUp()
        const gates = { first: Promise.withResolvers<void>(), second: Promise.withResolvers<void>() }
        const begin = async (writer: Cache<Row>, gate: Promise<void>) => {
          const lease = await plain.getBuffer(keys.lease.key('a'))
          const writing = writer.put('a', async () => {
            await gate
            return source.write('a')
          })
          await until(async () => expect(await plain.getBuffer(keys.lease.key('a'))).not.toEqual(lease))
          return { writing }
        }
        const first = await begin(cache, gates.first.promise)
        const second = await begin(build(), gates.second.promise)
        gates[winner].resolve()
        await (winner === 'first' ? first : second).writing
        gates.first.resolve()
        gates.second.resolve()
        const outcomes = [(await first.writing).outcome, (await second.writing).outcome]
        expect(outcomes).toContain('forgotten')
        expect((await cache.get('a', source.loader('a'))).value?.version).toBe(2)
      },
    )

    test('that throws may have been committed, so the value is forgotten', async () => {
      const { cache, source } = await setUp()
      source.write('a')
      await cache.get('a', source.loader('a'))
      const failing = async () => {
        source.write('a')
        throw new Error('the connection was lost at COMMIT')
      }
      await expect(cache.put('a', failing)).rejects.toThrow('COMMIT')
      expect(await cache.get('a', source.loader('a'))).toMatchObject({ value: { version: 2 }, source: 'miss' })
    })
  })

  describe('bytes', () => {
    test('pass through as they are, and are the same value that `get` parses', async () => {
      const { cache } = await setUp()
      const bytes = Buffer.from('{"id":"a",  "version":7}')
      expect(await cache.getBytes('a', async () => bytes)).toEqual({ value: bytes, source: 'miss' })
      expect(await cache.getBytes('a', async () => bytes)).toEqual({ value: bytes, source: 'hit' })
      expect(await cache.get('a', async () => undefined)).toEqual({ value: { id: 'a', version: 7 }, source: 'hit' })
    })

    test('of large values are compressed in Redis', async () => {
      const { cache, keys } = await setUp<string>({ compressAboveBytes: 1_000 })
      const text = 'all work and no play '.repeat(1_000)
      await cache.get('a', async () => text)
      expect(await plain.strlen(keys.value.key('a'))).toBeLessThan(1_000)
      expect(await cache.get('a', async () => '')).toEqual({ value: text, source: 'hit' })
      const noise = randomBytes(2_000)
      await cache.getBytes('noise', async () => noise)
      expect((await cache.getBytes('noise', async () => noise)).value).toEqual(noise)
    })

    test('of too large values are refused, and nobody waits for them', async () => {
      const { cache, keys } = await setUp<string>({ maxValueBytes: 100 })
      const error = await cache.get('a', async () => 'x'.repeat(99)).catch((thrown) => thrown)
      expect(error).toBeInstanceOf(ValueTooLarge)
      expect(error).toMatchObject({ code: 'CACHE_VALUE_TOO_LARGE', sizeBytes: 101, limitBytes: 100 })
      await until(async () => expect(await plain.exists(keys.lease.key('a'))).toBe(0))
    })

    test('of MessagePack keep dates', async () => {
      const { cache } = await setUp<{ at: Date; bytes: Buffer }>({ codec: messagePackCodec() })
      const value = { at: new Date(1_700_000_000_000), bytes: Buffer.from('abc') }
      await cache.get('a', async () => value)
      expect((await cache.get('a', async () => undefined)).value).toEqual(value)
    })

    test('are what the first reader gets too: a miss and a hit have the same shape', async () => {
      const { cache } = await setUp<{ at: Date | string }>()
      const load = async () => ({ at: new Date(0) })
      const miss = await cache.get('a', load)
      expect(miss.source).toBe('miss')
      expect(miss.value).toEqual((await cache.get('a', load)).value)
    })

    test('of another schema version, or damaged, count as missing', async () => {
      const { build, cache, keys, source } = await setUp()
      source.write('a')
      await cache.get('a', source.loader('a'))
      expect((await build({ schemaVersion: 2 }).get('a', source.loader('a'))).source).toBe('miss')
      for (const damaged of ['', 'x', 'x'.repeat(20), 'x'.repeat(100)]) {
        await plain.set(keys.value.key('a'), damaged, 'PX', 60_000)
        expect(await cache.get('a', source.loader('a'))).toMatchObject({ value: { version: 1 }, source: 'miss' })
        expect((await cache.get('a', source.loader('a'))).source).toBe('hit')
      }
    })
  })

  test('ids and tags that cannot be any are the caller’s mistake, and nothing is loaded or written', async () => {
    const { cache, source } = await setUp()
    const load = source.loader('a')
    await expect(cache.get('', load)).rejects.toBeInstanceOf(TypeError)
    await expect(cache.get('\ud800', load)).rejects.toBeInstanceOf(TypeError)
    await expect(cache.get('a', load, { tags: [''] })).rejects.toBeInstanceOf(TypeError)
    await expect(cache.get('a', load, { tags: ['x'.repeat(256)] })).rejects.toBeInstanceOf(RangeError)
    await expect(cache.put('', async () => source.write('a'))).rejects.toBeInstanceOf(TypeError)
    await expect(cache.invalidate('')).rejects.toBeInstanceOf(TypeError)
    expect(source.counts.loads).toBe(0)
    expect(source.version('a')).toBeUndefined()
  })

  test('no read of a healthy cache meets an error', async () => {
    const { cache, errors, source } = await setUp()
    source.write('a')
    await Promise.all(Array.from({ length: 50 }, (_, n) => cache.get(`a${n % 5}`, source.loader('a'))))
    expect(errors).toEqual([])
  })
})

test('the user of the suite may touch nothing that is not declared, so that it is able to fail', async () => {
  const server = await cacheServer('acl')
  const keys = cacheKeys(server.namespace(), 'row')
  const redis = connectRedis(server.url, { name: 'cache-test', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  const cache = createCache<string>(redis, { ...PATIENT, keys })
  onTestFinished(() => cache.close())
  expect((await cache.get('a', async () => 'value')).source).toBe('bypass')
  await expect(cache.invalidate('a')).rejects.toThrow()
  await server.allow(keys)
  expect((await cache.get('a', async () => 'value')).source).toBe('miss')
  await cache.invalidate('a')
  await expect(redis.get(cacheKeys(server.namespace(), 'row').value.key('a'))).rejects.toThrow('NOPERM')
  await expect(redis.publish(`${keys.invalidations.key()}:2`, 'ka')).rejects.toThrow('NOPERM')
  await expect(redis.expire(keys.value.key('a'), 1)).rejects.toThrow('NOPERM')
})
