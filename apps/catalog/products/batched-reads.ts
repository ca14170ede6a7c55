/**
 * Single reads that go to Postgres together when there are many. In quiet times each is a question of its own; while the cache is away
 * every request is one, and those that come while questions are out wait for the next one, which asks for all of them.
 */
interface BatchedReadsOptions<Value> {
  /** Answers with what there is of these ids, at most `batchCount`. */
  ask(ids: readonly string[]): Promise<ReadonlyMap<string, Value>>
  /** Questions out at once: one that is slow holds up few. @default 2 */
  questionCount?: number
  /** @default 100 */
  batchCount?: number
}

type Waiting<Value> = PromiseWithResolvers<Value | undefined>

/** What is answered was asked for after the call, so it is never older. Rejects with what `ask` rejects with. */
export function createBatchedReads<Value>({ ask, questionCount = 2, batchCount = 100 }: BatchedReadsOptions<Value>) {
  const waiting = new Map<string, Waiting<Value>>()
  let outCount = 0

  return function read(id: string): Promise<Value | undefined> {
    const known = waiting.get(id)
    if (known) return known.promise
    const one: Waiting<Value> = Promise.withResolvers()
    waiting.set(id, one)
    // All that comes in this tick goes together.
    if (waiting.size === 1) process.nextTick(send)
    return one.promise
  }

  function send() {
    while (outCount < questionCount && waiting.size > 0) void question(take())
  }

  function take(): [id: string, one: Waiting<Value>][] {
    const batch = [...waiting.entries().take(batchCount)]
    for (const [id] of batch) waiting.delete(id)
    return batch
  }

  async function question(batch: [id: string, one: Waiting<Value>][]) {
    outCount += 1
    try {
      const found = await ask(batch.map(([id]) => id))
      for (const [id, one] of batch) one.resolve(found.get(id))
    } catch (error) {
      for (const [, one] of batch) one.reject(error)
    }
    outCount -= 1
    send()
  }
}
