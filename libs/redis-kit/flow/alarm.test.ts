import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createAlarm } from './alarm.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  expect(vi.getTimerCount(), 'timers left behind').toBe(0)
  vi.useRealTimers()
})

/** What the wait has come to by now. */
function follow(wait: Promise<void>) {
  const seen = { isOver: false }
  wait.then(() => {
    seen.isOver = true
  })
  return seen
}

test('a ring ends the wait', async () => {
  const alarm = createAlarm()
  const wait = follow(alarm.next(1_000))
  await vi.advanceTimersByTimeAsync(999)
  expect(wait.isOver).toBe(false)
  alarm.ring()
  await vi.advanceTimersByTimeAsync(0)
  expect(wait.isOver).toBe(true)
})

test('a ring that comes while nothing waits ends the next wait, and only that one', async () => {
  const alarm = createAlarm()
  alarm.ring()
  alarm.ring()
  await alarm.next(1_000)
  const second = follow(alarm.next(1_000))
  await vi.advanceTimersByTimeAsync(999)
  expect(second.isOver).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  expect(second.isOver).toBe(true)
})

test('without a time only a ring or an abort ends the wait', async () => {
  const [alarm, stopping] = [createAlarm(), new AbortController()]
  const wait = follow(alarm.next(undefined, stopping.signal))
  await vi.advanceTimersByTimeAsync(86_400_000)
  expect(wait.isOver).toBe(false)
  stopping.abort()
  await vi.advanceTimersByTimeAsync(0)
  expect(wait.isOver).toBe(true)
})

test('an aborted signal leaves no wait', async () => {
  await expect(createAlarm().next(1_000, AbortSignal.abort())).resolves.toBeUndefined()
})

test('no listener stays on a signal that outlives many waits', async () => {
  const [alarm, { signal }] = [createAlarm(), new AbortController()]
  const [added, removed] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')]
  for (let round = 0; round < 3; round++) {
    const wait = alarm.next(1_000, signal)
    alarm.ring()
    await wait
  }
  expect(added).toHaveBeenCalledTimes(3)
  expect(removed).toHaveBeenCalledTimes(3)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
