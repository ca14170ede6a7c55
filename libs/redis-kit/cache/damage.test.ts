/** Bytes in Redis that are not what the cache wrote there: each is a miss, and the next read is a hit. */
import { randomBytes } from 'node:crypto'
import { createRandom, integerOf } from '@shop/test-kit/random'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { type CacheEvent, type CacheOptions, cacheKeys, createCache, jsonCodec } from './cache.ts'
import { codecIdOf, type Envelope, newToken, open, seal } from './envelope.ts'
import { cacheServer, topologies } from './fixtures/topology.fixture.ts'
import { messagePackCodec } from './messagepack.ts'

const HOUR_MS = 3_600_000
const EXPECTED = { schemaVersion: 1, codecId: codecIdOf('json') }
const envelope: Envelope = {
  ...EXPECTED,
  createdAtMs: 1_900_000_000_123,
  softTtlMs: HOUR_MS,
  loadCostMs: 7,
  token: newToken(),
  isNegative: false,
  isCompressed: false,
  stamps: [
    ['tea', newToken()],
    ['mugs', newToken()],
  ],
  payload: Buffer.from('12345'),
}
const HEADER_BYTES = seal({ ...envelope, stamps: [], payload: Buffer.alloc(0) }).length

describe('an envelope', () => {
  test('that was cut short anywhere, or continued, is none', () => {
    for (const whole of [seal(envelope), seal({ ...envelope, stamps: [] })]) {
      for (let length = 0; length < whole.length; length++) {
        expect([length, open(whole.subarray(0, length), EXPECTED)]).toEqual([length, undefined])
      }
      expect(open(Buffer.concat([whole, Buffer.of(0)]), EXPECTED)).toBeUndefined()
    }
  })

  test('with any bit of its header turned over is none', () => {
    const whole = seal(envelope)
    for (let bit = 0; bit < HEADER_BYTES * 8; bit++) {
      const damaged = Buffer.from(whole)
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7))
      expect([bit, open(damaged, EXPECTED)]).toEqual([bit, undefined])
    }
  })

  test('of another codec is none', () => {
    expect(open(seal({ ...envelope, codecId: codecIdOf('message-pack') }), EXPECTED)).toBeUndefined()
  })

  test('never throws, whatever the bytes', () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
    const random = createRandom(seed)
    const any = (count: number) => Buffer.from(Array.from({ length: count }, () => integerOf(random, 0, 255)))
    for (let n = 0; n < 20_000; n++) {
      const bytes = n % 2 === 0 ? any(integerOf(random, 0, 120)) : Buffer.from(seal(envelope))
      if (n % 2 === 1) any(integerOf(random, 1, 20)).copy(bytes, integerOf(random, 0, bytes.length - 1))
      expect(() => open(bytes, EXPECTED), `seed ${seed}, ${bytes.toString('hex')}`).not.toThrow()
    }
  })

  test('whose tags do not fill their place has none that is cut short, or is none', () => {
    const whole = seal(envelope)
    for (let at = HEADER_BYTES; at < whole.length - envelope.payload.length; at++) {
      for (let value = 0; value < 256; value++) {
        const damaged = Buffer.from(whole)
        damaged[at] = value
        for (const [, stamp] of open(damaged, EXPECTED)?.stamps ?? []) expect(stamp).toHaveLength(8)
      }
    }
  })
})

describe.each(topologies)('on %s', async (topology) => {
  const server = await cacheServer(topology)
  const redis = connectRedis(server.url, { name: 'damage', commandTimeoutMs: 9_000 })
  const plain = server.connect()
  await whenReady(redis, 9_000)
  afterAll(() => closeRedis(redis))

  async function setUp<Value = number>(options: Partial<CacheOptions<Value>> = {}) {
    const keys = cacheKeys(server.namespace(), 'row', { ttlMs: 400 * 24 * HOUR_MS })
    await server.allow(keys)
    const events: CacheEvent[] = []
    const build = (more: Partial<CacheOptions<Value>> = {}) => {
      const onEvent = (event: CacheEvent) => void events.push(event)
      const base = { keys, ttlMs: HOUR_MS, deadlineMs: 8_000, leaseMs: 20_000, waitMs: 9_000, onEvent }
      const cache = createCache<Value>(redis, { ...base, ...options, ...more })
      onTestFinished(() => cache.close())
      return cache
    }
    return { keys, events, build, cache: build() }
  }

  const whole = seal({ ...envelope, stamps: [], payload: Buffer.from('1') })
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['a number', Buffer.from('1')],
    ['random bytes', randomBytes(200)],
    ['an envelope of the format before this one', Buffer.concat([Buffer.of(1, 4, 0, 1), randomBytes(22)])],
    ['an envelope cut short', whole.subarray(0, -1)],
    ['half of a header', whole.subarray(0, HEADER_BYTES / 2)],
    ['an envelope with a value that is not JSON', seal({ ...envelope, stamps: [], payload: Buffer.from('{') })],
    ['an envelope whose value does not unpack', seal({ ...envelope, stamps: [], isCompressed: true })],
  ])('%s in the place of a value is a miss, and then healed', async (_, bytes) => {
    const { cache, keys } = await setUp()
    await plain.set(keys.value.key('a'), bytes, 'PX', 60_000)
    expect(await cache.get('a', async () => 7)).toEqual({ value: 7, source: 'miss' })
    expect(await cache.get('a', async () => 8)).toEqual({ value: 7, source: 'hit' })
  })

  test.each(['value', 'lease'] as const)('a hash in the place of the %s is a miss, and then healed', async (family) => {
    const { cache, keys } = await setUp()
    await cache.get('warm', async () => 0)
    await plain.hset(keys[family].key('a'), 'field', 1)
    await plain.pexpire(keys[family].key('a'), 60_000)
    expect(await cache.get('a', async () => 7)).toEqual({ value: 7, source: 'miss' })
    expect(await cache.get('a', async () => 8)).toEqual({ value: 7, source: 'hit' })
  })

  test('a lease that never ends is taken over', async () => {
    const { cache, keys } = await setUp()
    await plain.set(keys.lease.key('a'), 'foreign')
    expect(await cache.get('a', async () => 7)).toEqual({ value: 7, source: 'miss' })
    expect(await plain.exists(keys.lease.key('a'))).toBe(0)
  })

  test('a stamp of a tag that is none is replaced', async () => {
    const { cache, keys } = await setUp()
    await plain.set(keys.tag.key('tea'), 'foreign', 'PX', 60_000)
    const read = () => cache.get('a', async () => 7, { tags: ['tea'] })
    expect((await read()).source).toBe('miss')
    expect((await read()).source).toBe('hit')
    await cache.invalidateTag('tea')
    expect((await read()).source).toBe('miss')
  })

  test('values of another codec are a miss, whatever they would decode to', async () => {
    const { build, events } = await setUp<number>()
    await build({ codec: messagePackCodec() }).get('a', async () => 0x31) // which is the JSON of 1
    expect(await build().get('a', async () => 2)).toEqual({ value: 2, source: 'miss' })
    expect(events).toContain('unreadable')
    expect(await build({ codec: jsonCodec() }).get('a', async () => 3)).toEqual({ value: 2, source: 'hit' })
  })

  test('a lifetime of a hundred days is one like any other', async () => {
    const { cache, keys } = await setUp({ ttlMs: 100 * 24 * HOUR_MS })
    expect((await cache.get('a', async () => 7)).source).toBe('miss')
    expect((await cache.get('a', async () => 7)).source).toBe('hit')
    expect(await plain.pttl(keys.value.key('a'))).toBeGreaterThan(150 * 24 * HOUR_MS)
  })

  test('more tags than a value may carry are the caller’s mistake, and nothing is loaded', async () => {
    const { cache } = await setUp()
    const tags = Array.from({ length: 5_000 }, (_, n) => `tag ${n}`)
    const load = () => Promise.reject(new Error('loaded'))
    await expect(cache.get('a', load, { tags })).rejects.toThrow(RangeError)
    await expect(cache.put('a', load, { tags })).rejects.toThrow(RangeError)
    const most = Array.from({ length: 200 }, (_, n) => `${n}${'x'.repeat(250)}`)
    expect((await cache.get('a', async () => 1, { tags: most })).source).toBe('miss')
    expect((await cache.get('a', async () => 1, { tags: most })).source).toBe('hit')
  })
})
