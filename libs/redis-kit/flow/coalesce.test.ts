import { expect, test, vi } from 'vitest'
import { coalesce } from './coalesce.ts'

const aTick = () => new Promise((resolve) => process.nextTick(resolve))

/** Batches whose answers come when the test says so. */
function createBatches() {
  const batches: { items: string[]; answer(): void; fail(error: Error): void }[] = []
  const send = vi.fn((items: string[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<string[]>()
    batches.push({ items, answer: () => resolve(items.map((item) => item.toUpperCase())), fail: reject })
    return promise
  })
  return { batches, send, sent: () => batches.map(({ items }) => items.join('')) }
}

test('calls of one tick are one batch, and each gets the answer in its place', async () => {
  const { batches, send, sent } = createBatches()
  const call = coalesce(send, { maxCount: 10 })
  const answers = ['a', 'b', 'c'].map(call)
  expect(sent()).toEqual([])
  await aTick()
  expect(sent()).toEqual(['abc'])
  batches[0]?.answer()
  expect(await Promise.all(answers)).toEqual(['A', 'B', 'C'])
})

test('a full batch is sent at once, and the rest of the tick at its end', async () => {
  const { send, sent } = createBatches()
  const call = coalesce(send, { maxCount: 2 })
  for (const item of 'abc') void call(item)
  expect(sent()).toEqual(['ab'])
  await aTick()
  expect(sent()).toEqual(['ab', 'c'])
})

test('an error is that of every call of its batch and of no other', async () => {
  const { batches, send } = createBatches()
  const call = coalesce(send, { maxCount: 2 })
  const outcomes = Promise.allSettled(['a', 'b', 'c'].map(call))
  await aTick()
  batches[0]?.fail(new Error('no Redis'))
  batches[1]?.answer()
  expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
})

test('calls gather while as many batches as may are under way', async () => {
  const { batches, send, sent } = createBatches()
  const call = coalesce(send, { maxCount: 2, atOnce: 1 })
  const answers = [call('a')]
  await aTick()
  answers.push(...['b', 'c', 'd'].map(call))
  await aTick()
  expect(sent()).toEqual(['a'])
  batches[0]?.answer()
  await answers[0]
  expect(sent()).toEqual(['a', 'bc'])
  batches[1]?.fail(new Error('no Postgres'))
  await Promise.allSettled(answers.slice(0, 3))
  expect(sent()).toEqual(['a', 'bc', 'd'])
  batches[2]?.answer()
  expect(await answers[3]).toBe('D')
})

test('the end of a batch does not send the calls of a tick that goes on', async () => {
  const { batches, send, sent } = createBatches()
  const call = coalesce(send, { maxCount: 10 })
  const first = call('a')
  await aTick()
  await Promise.resolve() // from here on in one tick
  void call('b')
  batches[0]?.answer()
  await first
  await Promise.resolve()
  void call('c')
  await aTick()
  expect(sent()).toEqual(['a', 'bc'])
})
