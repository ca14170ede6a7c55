import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createSharedDeadline } from './shared-deadline.ts'

class Late extends Error {}
const late = () => new Late('too late')
const never = () => new Promise<never>(() => {})

describe('a shared deadline', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => {
    expect(vi.getTimerCount(), 'timers left behind').toBe(0)
    vi.useRealTimers()
  })

  /** The outcome of each, as soon as it has one. */
  function watched(promises: Promise<unknown>[]): unknown[] {
    const outcomes: unknown[] = promises.map(() => 'waiting')
    for (const [at, promise] of promises.entries()) {
      promise.then(
        (value) => (outcomes[at] = value),
        (error) => (outcomes[at] = error),
      )
    }
    return outcomes
  }

  test('lets answers and errors pass, and what an ask throws at once', async () => {
    const within = createSharedDeadline(20, late)
    const bug = () => {
      throw new TypeError('a bug')
    }
    expect(await within(async () => 'answer')).toBe('answer')
    await expect(within(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await expect(within(bug)).rejects.toThrow('a bug')
  })

  test('each wait ends at its own time, with one timer for all', async () => {
    const within = createSharedDeadline(100, late)
    const first = watched([within(never)])
    await vi.advanceTimersByTimeAsync(60)
    const second = watched([within(never), within(async () => 'answer')])
    expect(vi.getTimerCount()).toBe(1)
    await vi.advanceTimersByTimeAsync(41)
    expect([...first, ...second]).toEqual([expect.any(Late), 'waiting', 'answer'])
    await vi.advanceTimersByTimeAsync(58)
    expect(second[0]).toBe('waiting')
    await vi.advanceTimersByTimeAsync(2)
    expect(second[0]).toBeInstanceOf(Late)
  })

  test('an answer after the deadline is dropped, and the next wait is timed anew', async () => {
    const within = createSharedDeadline(100, late)
    const outcomes = watched([within(() => new Promise((resolve) => setTimeout(resolve, 150, 'late answer')))])
    await vi.advanceTimersByTimeAsync(160)
    expect(outcomes[0]).toBeInstanceOf(Late)
    const next = watched([within(never)])
    await vi.advanceTimersByTimeAsync(99)
    expect(next[0]).toBe('waiting')
    await vi.advanceTimersByTimeAsync(2)
    expect(next[0]).toBeInstanceOf(Late)
  })

  test('no timer is left when everything is answered', async () => {
    const within = createSharedDeadline(100, late)
    await Promise.all([within(async () => 1), within(async () => 2)])
    expect(vi.getTimerCount()).toBe(0)
  })
})

test('a pause of this process is not blamed on the other side', async () => {
  const within = createSharedDeadline(20, late)
  // Answered by an I/O event that is due long before the pause ends.
  const answer = within(() => sleep(1, 'answer'))
  const endMs = performance.now() + 100
  while (performance.now() < endMs);
  expect(await answer).toBe('answer')
})
