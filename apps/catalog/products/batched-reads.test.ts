import { describe, expect, it } from 'vitest'
import { createBatchedReads } from './batched-reads.ts'

/** A source whose answers come when the test says so. */
function createSource() {
  const questions: { ids: readonly string[]; answer(): void; fail(error: Error): void }[] = []
  const ask = (ids: readonly string[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<Map<string, string>>()
    const known = ids.filter((id) => id !== 'none').map((id) => [id, id.toUpperCase()] as const)
    questions.push({ ids, answer: () => resolve(new Map(known)), fail: reject })
    return promise
  }
  const asked = () => questions.map(({ ids }) => ids.join(''))
  return { ask, questions, asked }
}
const aTick = () => new Promise((resolve) => setImmediate(resolve))

describe('reads', () => {
  it('of one tick are one question, and each gets its own answer', async () => {
    const { ask, questions } = createSource()
    const read = createBatchedReads({ ask })
    const answers = ['a', 'none', 'b', 'a'].map((id) => read(id))
    await aTick()
    expect(questions.map(({ ids }) => ids)).toEqual([['a', 'none', 'b']])
    questions[0]?.answer()
    expect(await Promise.all(answers)).toEqual(['A', undefined, 'B', 'A'])
  })

  it('that come while questions are out wait for the next one, which is asked afterwards', async () => {
    const { ask, questions, asked } = createSource()
    const read = createBatchedReads({ ask, questionCount: 2, batchCount: 3 })
    const answers: Promise<string | undefined>[] = []
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'a']) {
      answers.push(read(id))
      await aTick()
    }
    // The second read of `a` may not have what the first one's question found: something may have changed since.
    expect(asked()).toEqual(['a', 'b'])
    questions[1]?.answer()
    await aTick()
    expect(asked()).toEqual(['a', 'b', 'cde'])
    questions[0]?.answer()
    await aTick()
    expect(asked()).toEqual(['a', 'b', 'cde', 'fa'])
    for (const { answer } of questions) answer()
    expect(await Promise.all(answers)).toEqual(['A', 'B', 'C', 'D', 'E', 'F', 'A'])
  })

  it('of an id that filled its batch are asked for anew afterwards', async () => {
    const { ask, questions, asked } = createSource()
    const read = createBatchedReads({ ask, batchCount: 2 })
    const answers = [read('a'), read('b')]
    await aTick()
    for (const { answer } of questions) answer()
    await Promise.all(answers)
    void read('b')
    await aTick()
    expect(asked()).toEqual(['ab', 'b'])
  })

  it('fail together, and the next ones are asked for as ever', async () => {
    const { ask, questions } = createSource()
    const read = createBatchedReads({ ask, questionCount: 1 })
    const failing = [read('a'), read('b')]
    await aTick()
    questions[0]?.fail(new Error('no Postgres'))
    expect((await Promise.allSettled(failing)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    const next = read('a')
    await aTick()
    questions[1]?.answer()
    expect(await next).toBe('A')
  })
})
