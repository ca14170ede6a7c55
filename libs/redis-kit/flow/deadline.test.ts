import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { withDeadline, within } from './deadline.ts'

class Late extends Error {}
const late = () => new Late('too late')
const throwLate = () => {
  throw late()
}

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  expect(vi.getTimerCount(), 'timers left behind').toBe(0)
  vi.useRealTimers()
})

const inMs = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const never = new Promise<never>(() => {})

/** What it has come to after so long. */
async function outcomeAfter(ms: number, promise: Promise<unknown>) {
  let outcome: unknown = 'waiting'
  promise.then(
    (value) => {
      outcome = value
    },
    (error) => {
      outcome = error
    },
  )
  await vi.advanceTimersByTimeAsync(ms)
  return outcome
}

describe('within', () => {
  test('an answer or an error in time passes unchanged', async () => {
    const answer = within(
      inMs(99).then(() => 'answer'),
      100,
      throwLate,
    )
    expect(await outcomeAfter(99, answer)).toBe('answer')
    await expect(within(Promise.reject(new TypeError('a bug')), 100, throwLate)).rejects.toThrow('a bug')
  })

  test('at the deadline the caller gets the other answer, or the error that it throws', async () => {
    expect(
      await outcomeAfter(
        100,
        within(never, 100, () => 'instead'),
      ),
    ).toBe('instead')
    expect(await outcomeAfter(100, within(never, 100, throwLate))).toBeInstanceOf(Late)
  })

  test('what comes after the deadline is dropped', async () => {
    const work = inMs(200).then(() => Promise.reject(new Error('nobody waits for this')))
    expect(await outcomeAfter(200, within(work, 100, throwLate))).toBeInstanceOf(Late)
  })
})

describe('withDeadline', () => {
  test('at the deadline the signal is aborted with the error that the caller gets', async () => {
    let given: AbortSignal | undefined
    const work = withDeadline(
      (signal) => {
        given = signal
        return never
      },
      { ms: 100, late },
    )
    const outcome = await outcomeAfter(100, work)
    expect(outcome).toBeInstanceOf(Late)
    expect([given?.aborted, given?.reason]).toEqual([true, outcome])
  })

  test('the caller gets the error of the deadline and not the one that work makes of its signal', async () => {
    const obedient = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    expect(await outcomeAfter(100, withDeadline(obedient, { ms: 100, late }))).toBeInstanceOf(Late)
  })

  test("the caller's signal ends it with its own reason, and no listener stays on it", async () => {
    const caller = new AbortController()
    const ended = withDeadline(() => never, { ms: 100, late, signal: caller.signal })
    const done = withDeadline(async () => 'done', { ms: 100, late, signal: caller.signal })
    await expect(done).resolves.toBe('done')
    caller.abort(new Error('the shopper left'))
    await expect(ended).rejects.toThrow('the shopper left')
    expect(getEventListeners(caller.signal, 'abort')).toEqual([])
  })

  test('work does not begin under an aborted signal', async () => {
    const work = vi.fn(async () => 'done')
    await expect(withDeadline(work, { ms: 100, late, signal: AbortSignal.abort('gone') })).rejects.toBe('gone')
    expect(work).not.toHaveBeenCalled()
  })

  test('the signal of work that has ended is not aborted by the deadline', async () => {
    let given: AbortSignal | undefined
    await withDeadline(
      async (signal) => {
        given = signal
      },
      { ms: 100, late },
    )
    await vi.advanceTimersByTimeAsync(1_000)
    expect(given?.aborted).toBe(false)
  })

  test('work that throws at once is a rejection', async () => {
    const work = () => {
      throw new TypeError('a bug')
    }
    await expect(withDeadline(work, { ms: 100, late })).rejects.toThrow('a bug')
  })
})

describe('a pause of this process', () => {
  test('an answer that arrived during the pause is in time', async () => {
    vi.useRealTimers()
    const { port1, port2 } = new MessageChannel()
    const answer = new Promise<string>((resolve) => {
      port2.onmessage = () => resolve('answer')
    })
    const outcome = within(answer, 5, () => 'late').finally(() => port1.close())
    port1.postMessage('')
    const pauseEndsMs = performance.now() + 50
    while (performance.now() < pauseEndsMs); // keeps the event loop from turning
    await expect(outcome).resolves.toBe('answer')
    vi.useFakeTimers()
  })
})
