import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createRetryBudget, DeadlineExceeded, type RetryOptions, retry } from './retry.ts'

class Flaky extends Error {}

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  expect(vi.getTimerCount(), 'timers left behind').toBe(0)
  vi.useRealTimers()
})

const options: RetryOptions = { deadlineMs: 10_000, isRetryable: (error) => error instanceof Flaky, random: () => 0.5 }

/** Runs it to its end on the fake clock and says how long that took. */
async function timed<T>(promise: Promise<T>) {
  const startedMs = performance.now()
  const settled = promise.then(
    (value) => ({ value, error: undefined, tookMs: performance.now() - startedMs }),
    (error: unknown) => ({ value: undefined, error, tookMs: performance.now() - startedMs }),
  )
  await vi.runAllTimersAsync()
  return settled
}

describe('attempts', () => {
  test('the first success is the answer and there is no pause before the first attempt', async () => {
    const work = vi.fn(async () => 'done')
    const { value, tookMs } = await timed(retry(work, options))
    expect([value, tookMs, work.mock.calls.length]).toEqual(['done', 0, 1])
  })

  test('a retryable error is tried again with growing pauses', async () => {
    const startsMs: number[] = []
    const work = async (attempt: number) => {
      startsMs.push(performance.now())
      if (attempt < 4) throw new Flaky(`attempt ${attempt}`)
      return attempt
    }
    const { value } = await timed(retry(work, { ...options, attempts: 4, baseMs: 100 }))
    const pausesMs = startsMs.slice(1).map((startMs, index) => startMs - (startsMs[index] ?? 0))
    expect(value).toBe(4)
    expect(pausesMs).toEqual([50, 100, 200])
  })

  test('the last error is thrown unchanged when the attempts are used up', async () => {
    const { error } = await timed(retry(async (attempt) => Promise.reject(new Flaky(`${attempt}`)), options))
    expect(error).toEqual(new Flaky('3'))
  })

  test('an error that is not retryable is thrown at once', async () => {
    const work = vi.fn(async () => Promise.reject(new TypeError('a bug')))
    const { error, tookMs } = await timed(retry(work, options))
    expect(error).toBeInstanceOf(TypeError)
    expect([work.mock.calls.length, tookMs]).toEqual([1, 0])
  })
})

describe('deadline', () => {
  test('it ends a running attempt even if the work ignores its signal', async () => {
    let given: AbortSignal | undefined
    const hang = (_attempt: number, signal: AbortSignal) => {
      given = signal
      return new Promise<never>(() => {})
    }
    const { error, tookMs } = await timed(retry(hang, { ...options, deadlineMs: 300 }))
    expect(error).toBeInstanceOf(DeadlineExceeded)
    expect([given?.aborted, given?.reason, tookMs]).toEqual([true, error, 300])
  })

  test('the error before it is its cause', async () => {
    const work = (attempt: number) =>
      attempt === 1 ? Promise.reject(new Flaky('refused')) : new Promise<never>(() => {})
    const { error } = await timed(retry(work, { ...options, deadlineMs: 300 }))
    expect((error as Error).cause).toEqual(new Flaky('refused'))
  })

  test('nobody waits for a pause that would end after it', async () => {
    const { error, tookMs } = await timed(
      retry(async () => Promise.reject(new Flaky('refused')), { ...options, deadlineMs: 100, baseMs: 1_000 }),
    )
    expect(error).toBeInstanceOf(Flaky)
    expect(tookMs).toBe(0)
  })
})

describe('signal', () => {
  test('the caller ends it in the middle of a pause, with its own reason', async () => {
    const caller = new AbortController()
    const work = vi.fn(async () => Promise.reject(new Flaky('refused')))
    setTimeout(() => caller.abort(new Error('the shopper left')), 20)
    const { error, tookMs } = await timed(retry(work, { ...options, baseMs: 1_000, signal: caller.signal }))
    expect((error as Error).message).toBe('the shopper left')
    expect([tookMs, work.mock.calls.length]).toEqual([20, 1])
  })

  test('a signal already aborted means no attempt', async () => {
    const work = vi.fn(async () => 'done')
    const { error } = await timed(retry(work, { ...options, signal: AbortSignal.abort('gone') }))
    expect(error).toBe('gone')
    expect(work).not.toHaveBeenCalled()
  })

  test('no listener stays on a long-lived signal', async () => {
    const { signal } = new AbortController()
    const removed = vi.spyOn(signal, 'removeEventListener')
    const added = vi.spyOn(signal, 'addEventListener')
    await timed(retry(async () => 'done', { ...options, signal }))
    expect(removed.mock.calls.length).toBe(added.mock.calls.length)
  })
})

describe('budget', () => {
  test('retries stay below ratio * requests + trickle + burst, whatever fails', async () => {
    const budget = createRetryBudget({ ratio: 0.2, minPerSecond: 1, burstCount: 10 })
    const work = vi.fn(async () => Promise.reject(new Flaky('down')))
    const requests = 1_000
    const startedMs = performance.now()
    for (let request = 0; request < requests; request++) {
      await timed(retry(work, { ...options, attempts: 5, budget, baseMs: 4 }))
    }
    const seconds = (performance.now() - startedMs) / 1_000
    const retries = work.mock.calls.length - requests
    expect(retries).toBeLessThanOrEqual(0.2 * requests + seconds + 10)
    expect(retries).toBeGreaterThan(0.15 * requests)
  })

  test('control: without a budget every failure is tried to the end', async () => {
    const work = vi.fn(async () => Promise.reject(new Flaky('down')))
    for (let request = 0; request < 100; request++) await timed(retry(work, { ...options, attempts: 5 }))
    expect(work).toHaveBeenCalledTimes(500)
  })

  test('a rare caller may always retry a little', () => {
    let nowMs = 0
    const budget = createRetryBudget({ ratio: 0, minPerSecond: 0.5, burstCount: 1, now: () => nowMs })
    expect([budget.withdraw(), budget.withdraw()]).toEqual([true, false])
    nowMs = 2_000
    expect([budget.withdraw(), budget.withdraw()]).toEqual([true, false])
  })
})
