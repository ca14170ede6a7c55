/** How many streams may be open: each holds a connection here and one behind, for as long as a shopper keeps a page open. */
import { createSlots } from '@shop/redis-kit/flow/slots'
import { errors } from '../errors.ts'

export interface StreamSlotLimits {
  /** Of one service: streams of one that hangs leave the places of the others alone. */
  maxCount: number
  /** Of one user, or of one address while nobody is signed in. */
  maxCountPerCaller: number
}

export function createStreamSlots({ maxCount, maxCountPerCaller }: StreamSlotLimits) {
  const ofServices = createSlots(maxCount)
  const ofCallers = createSlots(maxCountPerCaller)
  let isClosed = false
  return { take, close, count: ofServices.count }

  /** Takes a place and returns how to give it back. Throws when there is none. */
  function take(service: string, caller: string): () => void {
    const leaveService = isClosed ? undefined : ofServices.take(service)
    if (!leaveService) throw errors.streamsExhausted({ retryAfterMs: 5_000 })
    const leaveCaller = ofCallers.take(caller)
    if (!leaveCaller) {
      leaveService()
      throw errors.tooManyStreams({ retryAfterMs: 5_000 })
    }
    return () => {
      leaveService()
      leaveCaller()
    }
  }

  /** No more from now on. */
  function close() {
    isClosed = true
  }
}
