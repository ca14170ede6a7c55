/** The arithmetic of a hold, on a clock that the test moves. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { RedisUnavailable } from '../errors.ts'
import { createHold, type HoldOptions, LockLost } from './hold.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

function open(options: Partial<HoldOptions> = {}) {
  const asked: number[] = []
  const errors: unknown[] = []
  const startMs = performance.now()
  const hold = createHold({
    resource: 'r',
    ttlMs: 10_000,
    maxHoldMs: 60_000,
    sentMs: startMs,
    onError: (error) => errors.push(error),
    ...options,
    extend: async () => {
      asked.push(performance.now() - startMs)
      return options.extend ? options.extend() : true
    },
  })
  return { hold, asked, errors, startMs }
}
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
describe('a hold', () => {
  test('counts from before the request, less what clocks may differ', async () => {
    const before = performance.now()
    await pass(4_000) // the answer took so long
    const { hold } = open({ sentMs: before })
    expect(hold.remainingMs()).toBeCloseTo(10_000 - 4_000 - 100 - 2)
  })

  test('is prolonged every third of its time, and counts anew from before each request', async () => {
    const { hold, asked } = open()
    await pass(20_500)
    expect(asked.map((ms) => Math.round(ms / 100))).toEqual([33, 67, 100, 133, 167, 200])
    expect(hold.signal.aborted).toBe(false)
    expect(hold.remainingMs()).toBeCloseTo(10_000 - 102 - 500, -1)
    hold.assertValid()
  })

  test('is lost when its time is over and Redis is away, and neither later nor earlier', async () => {
    const { hold, asked, errors } = open({ extend: () => Promise.reject(new RedisUnavailable('away')) })
    await pass(9_897)
    hold.assertValid()
    expect(hold.signal.aborted).toBe(false)
    await pass(2)
    expect(hold.signal.reason).toBeInstanceOf(LockLost)
    expect(() => hold.assertValid()).toThrow(LockLost)
    expect(asked.length).toBeGreaterThan(3) // it went on trying
    expect(errors).toEqual([])
    const tries = asked.length
    await pass(60_000)
    expect(asked.length).toBe(tries)
  })

  test('outlives an outage that ends in time', async () => {
    let isAway = true
    const { hold } = open({
      extend: () => (isAway ? Promise.reject(new RedisUnavailable('away')) : Promise.resolve(true)),
    })
    await pass(8_000)
    isAway = false
    await pass(20_000)
    expect(hold.signal.aborted).toBe(false)
  })

  test('is lost at once when Redis says that it is not ours', async () => {
    const { hold } = open({ extend: async () => false })
    await pass(3_400)
    expect(hold.signal.reason).toMatchObject({
      code: 'LOCK_LOST',
      message: expect.stringContaining('another holder may have it'),
    })
  })

  test('is not won back by a confirmation that comes too late', async () => {
    const late = Promise.withResolvers<boolean>()
    const { hold } = open({ extend: () => late.promise })
    await pass(10_000)
    expect(hold.signal.aborted).toBe(true)
    late.resolve(true)
    await pass(1)
    expect(hold.remainingMs()).toBe(0)
    expect(() => hold.assertValid()).toThrow(LockLost)
  })

  test('is not prolonged beyond its longest time, which is exact', async () => {
    const { hold, asked } = open({ maxHoldMs: 25_000 })
    await pass(24_999)
    expect(hold.signal.aborted).toBe(false)
    await pass(2)
    expect(hold.signal.aborted).toBe(true)
    expect(Math.max(...asked)).toBeLessThan(20_500)
  })

  test('reports what is no outage, as a missing right', async () => {
    const { errors } = open({ extend: () => Promise.reject(new Error('NOPERM')) })
    await pass(3_400)
    expect(errors).toEqual([new Error('NOPERM')])
  })

  test('that has ended is not valid, and not lost either', async () => {
    const { hold, asked } = open()
    hold.end()
    await pass(60_000)
    expect(asked).toEqual([])
    expect(hold.signal.aborted).toBe(false)
    expect(() => hold.assertValid()).toThrow('was released')
  })

  test('knows after a pause of the process that it is over, before any timer has run', () => {
    const { hold } = open()
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 10_000)
    expect(hold.signal.aborted).toBe(false)
    expect(() => hold.assertValid()).toThrow(LockLost)
    expect(hold.signal.aborted).toBe(true)
    vi.restoreAllMocks()
  })
})
