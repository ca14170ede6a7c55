/** The parts of a cache that know nothing of Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { createBatch } from './batch.ts'
import { createServerClock } from './clock.ts'
import { createCoarseClock } from './coarse-clock.ts'
import { codecIdOf, type Envelope, newToken, open, seal, tokenOf } from './envelope.ts'
import { createLoader, LoaderOverloaded, LoadTimeout } from './loader.ts'

describe('an envelope', () => {
  const envelope: Envelope = {
    schemaVersion: 65_535,
    codecId: codecIdOf('json'),
    createdAtMs: 1_900_000_000_123,
    softTtlMs: 400_000_000_000,
    loadCostMs: 77,
    token: newToken(),
    isNegative: false,
    isCompressed: true,
    stamps: [
      ['tea, {green}', newToken()],
      ['日本', newToken()],
    ],
    payload: Buffer.from('payload'),
  }

  test('gives back what was put in', () => {
    expect(open(seal(envelope), envelope)).toEqual(envelope)
    const plain = { ...envelope, stamps: [], isNegative: true, isCompressed: false, payload: Buffer.alloc(0) }
    expect(open(seal(plain), plain)).toEqual(plain)
    expect(tokenOf(seal(envelope))).toEqual(envelope.token)
  })

  test('of another version, codec or format is none', () => {
    const bytes = seal(envelope)
    expect(open(bytes, { ...envelope, schemaVersion: 1 })).toBeUndefined()
    expect(open(bytes, { ...envelope, codecId: codecIdOf('other') })).toBeUndefined()
    expect(open(Buffer.from('{"version":1,"name":"something else"}'), envelope)).toBeUndefined()
  })

  test('refuses more tags than it has room for', () => {
    expect(() => seal({ ...envelope, stamps: [['x'.repeat(256), newToken()]] })).toThrow(RangeError)
  })
})

describe('the loader', () => {
  const createRun = (concurrencyCount: number, queueCount: number, timeoutMs: number) => {
    const { ask: run, stats } = createLoader({ concurrencyCount, queueCount, timeoutMs, onEvent: undefined })
    return { run, stats }
  }

  test('runs so many at once, in order, and refuses what does not fit into the queue', async () => {
    const { run, stats } = createRun(2, 2, 10_000)
    const order: number[] = []
    const gate = Promise.withResolvers<void>()
    const work = (n: number) => async () => {
      order.push(n)
      await gate.promise
      return n
    }
    const runs = [1, 2, 3, 4].map((n) => run(work(n)))
    await expect(run(work(5))).rejects.toBeInstanceOf(LoaderOverloaded)
    expect(stats()).toEqual({ runningCount: 2, queuedCount: 2 })
    gate.resolve()
    expect(await Promise.all(runs)).toEqual([1, 2, 3, 4])
    expect(order).toEqual([1, 2, 3, 4])
    expect(stats()).toEqual({ runningCount: 0, queuedCount: 0 })
  })

  test('keeps the place of work that ignores its deadline, and gives up the place of work that waits', async () => {
    const { run, stats } = createRun(1, 5, 10)
    const gate = Promise.withResolvers<void>()
    const deaf = run(() => gate.promise)
    const waiting = run(async () => 'never begun')
    await expect(deaf).rejects.toBeInstanceOf(LoadTimeout)
    await expect(waiting).rejects.toBeInstanceOf(LoadTimeout)
    expect(stats()).toEqual({ runningCount: 1, queuedCount: 0 })
    gate.resolve()
    expect(await run(async () => 'next')).toBe('next')
  })

  test('survives work that throws before it returns a promise', async () => {
    const { run, stats } = createRun(1, 0, 100)
    const throwing = () => {
      throw new Error('at once')
    }
    await expect(run(throwing)).rejects.toThrow('at once')
    expect(stats().runningCount).toBe(0)
  })
})

describe('a batch', () => {
  const rows = (ids: readonly string[]) => new Map(ids.map((id) => [id, id.toUpperCase()]))

  test('is loaded when the last id is decided, and what comes later in calls of its own', async () => {
    const loadMany = vi.fn(async (ids: readonly string[]) => rows(ids))
    const batch = createBatch(['a', 'b', 'c', 'd'], loadMany)
    const [a, b] = [batch.load('a'), batch.load('b')]
    batch.decide('c')
    expect(loadMany).not.toHaveBeenCalled()
    batch.decide('d')
    expect([await a, await b]).toEqual(['A', 'B'])
    expect(await Promise.all([batch.load('c'), batch.load('d')])).toEqual(['C', 'D'])
    expect(loadMany.mock.calls).toEqual([[['a', 'b']], [['c', 'd']]])
  })

  test('of which nothing is missing loads nothing', () => {
    const loadMany = vi.fn()
    const batch = createBatch(['a'], loadMany)
    batch.decide('a')
    batch.decide('a')
    expect(loadMany).not.toHaveBeenCalled()
  })
})

describe('clocks', () => {
  test('the coarse one is at most a few milliseconds behind', async () => {
    const nowMs = createCoarseClock()
    nowMs()
    await sleep(30)
    expect(performance.now() - nowMs()).toBeLessThan(15)
    const frozen = nowMs()
    const endMs = performance.now() + 20
    let reads = 0
    while (performance.now() < endMs && reads++ < 1_000) nowMs()
    expect(nowMs()).toBeGreaterThanOrEqual(frozen)
  })

  test("the server's is what the fastest answer says", () => {
    let nowMs = 1_000
    const clock = createServerClock(() => nowMs)
    expect(clock.isDue()).toBe(true)
    clock.observe(500_000, 990, 1_000) // 10 ms: half of it is the error
    expect(clock.nowMs()).toBe(500_005)
    clock.observe(700_000, 900, 1_000) // slower: not believed
    expect(clock.nowMs()).toBe(500_005)
    clock.observe(500_001, 999, 1_001)
    expect(clock.nowMs()).toBe(500_001)
    expect(clock.isDue()).toBe(false)
    nowMs += 60_100
    expect(clock.isDue()).toBe(true)
  })
})
