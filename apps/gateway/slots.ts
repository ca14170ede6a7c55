/** How many streams may be open: each holds a connection here and one behind, for as long as a shopper keeps a page open. */
import { errors } from './errors.ts'

export interface SlotLimits {
  /** Of one service: streams of one that hangs leave the places of the others alone. */
  maxCount: number
  /** Of one user, or of one address while nobody is signed in. */
  maxCountPerCaller: number
}

export function createSlots({ maxCount, maxCountPerCaller }: SlotLimits) {
  const byCaller = createCounter()
  const byService = createCounter()
  let isClosed = false
  return { take, close, count: byService.total }

  /** Takes a place and returns how to give it back. Throws when there is none. */
  function take(service: string, caller: string): () => void {
    if (isClosed || byService.of(service) >= maxCount) throw errors.streamsExhausted({ retryAfterMs: 5_000 })
    if (byCaller.of(caller) >= maxCountPerCaller) throw errors.tooManyStreams({ retryAfterMs: 5_000 })
    byCaller.add(caller, 1)
    byService.add(service, 1)
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      byCaller.add(caller, -1)
      byService.add(service, -1)
    }
  }

  /** No more from now on. */
  function close() {
    isClosed = true
  }
}

/** Keeps nothing of a name whose count is 0. */
function createCounter() {
  const counts = new Map<string, number>()
  const of = (name: string) => counts.get(name) ?? 0
  return { of, add, total: () => counts.values().reduce((sum, count) => sum + count, 0) }

  function add(name: string, change: number) {
    const count = of(name) + change
    if (count === 0) counts.delete(name)
    else counts.set(name, count)
  }
}
