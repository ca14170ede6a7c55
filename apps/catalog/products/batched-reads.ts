/**
 * Single reads that go to Postgres together when there are many. In quiet times each is a question of its own; while the cache is away
 * every request is one, and those that come while questions are out wait for the next one, which asks for all of them.
 */
import { coalesce } from '@shop/redis-kit/flow/coalesce'

interface BatchedReadsOptions<Value> {
  /** Answers with what there is of these ids, at most `batchCount`. */
  ask(ids: readonly string[]): Promise<ReadonlyMap<string, Value>>
  /** Questions out at once: one that is slow holds up few. @default 2 */
  questionCount?: number
  /** @default 100 */
  batchCount?: number
}

/** What is answered was asked for after the call, so it is never older. Rejects with what `ask` rejects with. */
export function createBatchedReads<Value>({ ask, questionCount = 2, batchCount = 100 }: BatchedReadsOptions<Value>) {
  /** Reads that are not asked for yet: those of one id share an answer. */
  const waiting = new Map<string, Promise<Value | undefined>>()
  const enqueue = coalesce(question, { maxCount: batchCount, atOnce: questionCount })

  return function read(id: string): Promise<Value | undefined> {
    const known = waiting.get(id)
    if (known) return known
    const one = enqueue(id)
    waiting.set(id, one)
    return one
  }

  async function question(ids: readonly string[]): Promise<(Value | undefined)[]> {
    await Promise.resolve() // the read that fills a batch is sent before it is in the map
    for (const id of ids) waiting.delete(id)
    const found = await ask(ids)
    return ids.map((id) => found.get(id))
  }
}
