/** Many reads at once: one MGET for what is in Redis, and one call of the loader for what is not. */
import type { Redis } from '../client.ts'

/** Plain reads of one tick, as one MGET. On a Cluster each key is asked for by itself: they live in different slots. */
export function createLook(redis: Redis): (key: string) => Promise<Buffer | null> {
  if (redis.isCluster) return (key) => redis.getBuffer(key)
  let batch: { keys: string[]; replies: Promise<(Buffer | null)[]> } | undefined

  return async function look(key) {
    batch ??= gather()
    const { keys, replies } = batch
    const index = keys.push(key) - 1
    return (await replies)[index] ?? null
  }

  function gather() {
    const keys: string[] = []
    const replies = Promise.resolve().then(() => {
      batch = undefined
      return redis.mgetBuffer(keys)
    })
    return { keys, replies }
  }
}

export interface Batch<Value> {
  /** This id has to be loaded. */
  load(id: string): Promise<Value | undefined>
  /** This id does not, or not now: it was found, or another loads it. */
  decide(id: string): void
}

/**
 * Calls `loadMany` once every id is either asked for or decided otherwise. An id that is asked for later than that (its
 * other loader has died) gets a call of its own.
 */
export function createBatch<Value>(
  ids: Iterable<string>,
  loadMany: (ids: readonly string[]) => Promise<ReadonlyMap<string, Value>>,
): Batch<Value> {
  const undecided = new Set(ids)
  const wanted: string[] = []
  const ready = Promise.withResolvers<ReadonlyMap<string, Value>>()
  let isCalled = false

  function decide(id: string) {
    undecided.delete(id)
    if (undecided.size > 0 || isCalled) return
    isCalled = true
    if (wanted.length > 0) loadMany(wanted).then(ready.resolve, ready.reject)
  }

  async function load(id: string): Promise<Value | undefined> {
    if (isCalled) return (await loadMany([id])).get(id)
    wanted.push(id)
    decide(id)
    return (await ready.promise).get(id)
  }

  return { load, decide }
}
