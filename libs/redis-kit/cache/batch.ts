/**
 * Many reads at once: one call of the loader for all that is missing. Not by flow/coalesce.ts: what ends a batch is the last decision
 * about its ids, which may be many turns of the event loop away.
 */

export interface Batch<Value> {
  /** This id has to be loaded. */
  load(id: string): Promise<Value | undefined>
  /** This id does not, or not now: it was found, or another loads it. */
  decide(id: string): void
}

/**
 * Calls `loadMany` once every id is either asked for or decided otherwise. What is asked for later than that (a refresh, or
 * a load whose loader has died) is gathered for one turn of the event loop at a time.
 */
export function createBatch<Value>(
  ids: Iterable<string>,
  loadMany: (ids: readonly string[]) => Promise<ReadonlyMap<string, Value>>,
): Batch<Value> {
  const undecided = new Set(ids)
  let call: Call<Value> | undefined

  function decide(id: string) {
    if (undecided.delete(id) && undecided.size === 0) run()
  }

  async function load(id: string): Promise<Value | undefined> {
    if (undecided.size === 0 && !call) setImmediate(run)
    call ??= { ids: [], answer: Promise.withResolvers() }
    call.ids.push(id)
    const { answer } = call
    decide(id)
    return (await answer.promise).get(id)
  }

  function run() {
    if (call) loadMany(call.ids).then(call.answer.resolve, call.answer.reject)
    call = undefined
  }

  return { load, decide }
}

interface Call<Value> {
  ids: string[]
  answer: PromiseWithResolvers<ReadonlyMap<string, Value>>
}
