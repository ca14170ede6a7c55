import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { createBulkhead } from './bulkhead.ts'

class Full extends Error {}

const create = (maxRunningCount: number, maxQueuedCount: number) =>
  createBulkhead({ maxRunningCount, maxQueuedCount, refusal: (counts) => new Full(JSON.stringify(counts)) })

test('so much work runs at once, the next waits in the order of arrival, and the rest is refused', async () => {
  const { run, stats } = create(2, 2)
  const gate = Promise.withResolvers<void>()
  const begun: number[] = []
  const work = (n: number) => async () => {
    begun.push(n)
    await gate.promise
    return n
  }
  const running = [1, 2, 3, 4].map((n) => run(work(n)))
  expect(begun).toEqual([1, 2])
  await expect(run(work(5))).rejects.toThrow('{"runningCount":2,"queuedCount":2}')
  gate.resolve()
  expect(await Promise.all(running)).toEqual([1, 2, 3, 4])
  expect(begun).toEqual([1, 2, 3, 4])
  expect(stats()).toEqual({ runningCount: 0, queuedCount: 0 })
})

test('work that fails, or throws at once, gives its place to the next', async () => {
  const { run, stats } = create(1, 2)
  const failing = run(() => Promise.reject(new Error('no')))
  const throwing = run(() => {
    throw new Error('at once')
  })
  const next = run(async () => 'next')
  await expect(failing).rejects.toThrow('no')
  await expect(throwing).rejects.toThrow('at once')
  expect(await next).toBe('next')
  expect(stats()).toEqual({ runningCount: 0, queuedCount: 0 })
})

test('works that end together wake as many, each once', async () => {
  const { run } = create(2, 10)
  const gate = Promise.withResolvers<void>()
  let [runningCount, mostCount] = [0, 0]
  const work = async () => {
    mostCount = Math.max(mostCount, ++runningCount)
    await gate.promise
    runningCount -= 1
  }
  const all = Array.from({ length: 10 }, () => run(work))
  gate.resolve()
  await Promise.all(all)
  expect([mostCount, runningCount]).toEqual([2, 0])
})

test('a signal ends the wait for a place with its reason, and leaves no listener', async () => {
  const { run, stats } = create(1, 1)
  const [gate, leaving, staying] = [Promise.withResolvers<void>(), new AbortController(), new AbortController()]
  const first = run(() => gate.promise, staying.signal)
  const second = run(async () => 'never begun', leaving.signal)
  leaving.abort(new Error('the caller left'))
  expect(stats()).toEqual({ runningCount: 1, queuedCount: 0 })
  await expect(second).rejects.toThrow('the caller left')
  const third = run(async () => 'third', staying.signal)
  gate.resolve()
  await first
  expect(await third).toBe('third')
  expect(getEventListeners(staying.signal, 'abort')).toEqual([])
})

test('a signal that aborts while its work gets a place leaves the place to the next', async () => {
  const { run, stats } = create(1, 2)
  const [gate, leaving] = [Promise.withResolvers<void>(), new AbortController()]
  const first = run(() => gate.promise).then(() => leaving.abort(new Error('the caller left')))
  const begun: string[] = []
  const second = run(async () => begun.push('second'), leaving.signal)
  const third = run(async () => begun.push('third'))
  gate.resolve()
  await expect(second).rejects.toThrow('the caller left')
  await Promise.all([first, third])
  expect(begun).toEqual(['third'])
  expect(stats()).toEqual({ runningCount: 0, queuedCount: 0 })
})

test('work does not begin under an aborted signal', async () => {
  await expect(create(1, 1).run(async () => 'done', AbortSignal.abort('gone'))).rejects.toBe('gone')
})
