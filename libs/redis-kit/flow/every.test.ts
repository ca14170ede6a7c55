import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createAlarm } from './alarm.ts'
import { every } from './every.ts'

const stopping = { current: new AbortController() }

beforeEach(() => {
  vi.useFakeTimers()
  stopping.current = new AbortController()
})

afterEach(() => {
  expect(vi.getTimerCount(), 'timers left behind').toBe(0)
  expect(getEventListeners(stopping.current.signal, 'abort'), 'listeners left behind').toEqual([])
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** When the rounds of a loop begin, in ms since it began. */
function startedLoop(ms: number, options: object = {}, result: unknown = undefined) {
  const beganMs = performance.now()
  const startsMs: number[] = []
  const ended = every(ms, { signal: stopping.current.signal, ...options }, async () => {
    startsMs.push(performance.now() - beganMs)
    return result
  })
  return { startsMs, ended }
}

async function stop(ended: Promise<void>) {
  stopping.current.abort()
  await ended
}

test('work comes first, and again after each pause, until the signal aborts', async () => {
  const { startsMs, ended } = startedLoop(100)
  await vi.advanceTimersByTimeAsync(250)
  await stop(ended)
  expect(startsMs).toEqual([0, 100, 200])
})

test('a pause may come first', async () => {
  const { startsMs, ended } = startedLoop(100, { first: 'pause' })
  await vi.advanceTimersByTimeAsync(250)
  await stop(ended)
  expect(startsMs).toEqual([100, 200])
})

test('jitter moves a pause by its share to both sides', async () => {
  const random = vi.spyOn(Math, 'random').mockReturnValueOnce(0).mockReturnValue(1)
  const { startsMs, ended } = startedLoop(100, { jitter: 0.5 })
  await vi.advanceTimersByTimeAsync(210)
  await stop(ended)
  expect(startsMs).toEqual([0, 50, 200])
  expect(random).toHaveBeenCalledTimes(3)
})

test('a ring ends the pause, and one during a round ends the pause after it', async () => {
  const alarm = createAlarm()
  let roundCount = 0
  const ended = every(1_000, { signal: stopping.current.signal, alarm }, async () => {
    roundCount += 1
    if (roundCount === 2) alarm.ring()
  })
  await vi.advanceTimersByTimeAsync(10)
  expect(roundCount).toBe(1)
  alarm.ring()
  await vi.advanceTimersByTimeAsync(0)
  expect(roundCount).toBe(3)
  await stop(ended)
})

test('after a round with more to do there is no pause', async () => {
  const results = ['more', 'more', 'done']
  const ended = every(1_000, { signal: stopping.current.signal }, async () => results.shift())
  await vi.advanceTimersByTimeAsync(0)
  expect(results).toEqual([])
  await stop(ended)
})

test('rounds do not overlap, and the loop ends after the round that is under way', async () => {
  let [runningCount, mostCount, endedCount] = [0, 0, 0]
  const ended = every(10, { signal: stopping.current.signal }, async () => {
    mostCount = Math.max(mostCount, ++runningCount)
    await new Promise((resolve) => setTimeout(resolve, 100))
    runningCount -= 1
    endedCount += 1
  })
  await vi.advanceTimersByTimeAsync(150)
  stopping.current.abort()
  await vi.advanceTimersByTimeAsync(100)
  await ended
  expect([mostCount, endedCount]).toEqual([1, 2])
})

test('what a round throws ends the loop', async () => {
  const failing = every(10, { signal: stopping.current.signal }, () => Promise.reject(new Error('no right')))
  await expect(failing).rejects.toThrow('no right')
})

test.each([
  ['no number', { ms: Number.NaN }],
  ['no time', { ms: 0 }],
  ['endless', { ms: Number.POSITIVE_INFINITY }],
  ['longer than a timer can be', { ms: 2 ** 31 }],
  ['longer than a timer can be with its jitter', { ms: 2 ** 31 / 1.25, jitter: 0.25 }],
  ['moved by more than itself', { ms: 100, jitter: 1.5 }],
])('a pause that is %s is refused before the first round', async (_, { ms, ...options }) => {
  const { startsMs, ended } = startedLoop(ms, options)
  stopping.current.abort()
  await expect(ended).rejects.toThrow(RangeError)
  expect(startsMs).toEqual([])
})

test('an aborted signal means no round', async () => {
  stopping.current.abort()
  const { startsMs, ended } = startedLoop(100)
  await ended
  expect(startsMs).toEqual([])
})
