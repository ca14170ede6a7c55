/** How many streams may be open: each holds a connection here and one behind, for as long as a shopper keeps a page open. */
import { errors } from './errors.ts'

export interface SlotLimits {
  maxCount: number
  /** Of one user, or of one address while nobody is signed in. */
  maxCountPerCaller: number
}

export function createSlots({ maxCount, maxCountPerCaller }: SlotLimits) {
  const countOf = new Map<string, number>()
  let count = 0
  let isClosed = false
  return { take, close, count: () => count }

  /** Takes a place and returns how to give it back. Throws when there is none. */
  function take(caller: string): () => void {
    if (isClosed || count >= maxCount) throw errors.streamsExhausted({ retryAfterMs: 5_000 })
    const own = countOf.get(caller) ?? 0
    if (own >= maxCountPerCaller) throw errors.tooManyStreams({ retryAfterMs: 5_000 })
    countOf.set(caller, own + 1)
    count++
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      count--
      const left = (countOf.get(caller) ?? 1) - 1
      if (left === 0) countOf.delete(caller)
      else countOf.set(caller, left)
    }
  }

  /** No more from now on. */
  function close() {
    isClosed = true
  }
}
