import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { pause } from './pause.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  expect(vi.getTimerCount(), 'timers left behind').toBe(0)
  vi.useRealTimers()
})

test('a pause ends when its time is over and not before', async () => {
  const ended = vi.fn()
  const paused = pause(100).then(ended)
  await vi.advanceTimersByTimeAsync(99)
  expect(ended).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(1)
  await paused
  expect(ended).toHaveBeenCalledOnce()
})

test('a signal ends a pause early and without an error', async () => {
  const stopping = new AbortController()
  const paused = pause(100, stopping.signal)
  stopping.abort(new Error('stopped'))
  await expect(paused).resolves.toBeUndefined()
})

test('an aborted signal leaves no pause', async () => {
  await expect(pause(100, AbortSignal.abort())).resolves.toBeUndefined()
})

test('no listener stays on a signal that outlives many pauses', async () => {
  const { signal } = new AbortController()
  const [added, removed] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')]
  const paused = pause(10, signal)
  await vi.advanceTimersByTimeAsync(10)
  await paused
  expect(added).toHaveBeenCalledOnce()
  expect(removed).toHaveBeenCalledOnce()
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
