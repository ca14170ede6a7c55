/**
 * The calls to the payment provider, of all instances together, at an even rate: providers block a shop that calls too often, and a sale
 * that empties the shelves would do that.
 */
import type { Redis } from '@shop/redis-kit/connection'
import type { KeyFamily } from '@shop/redis-kit/keys'
import { createLeakyQueue, type LeakyQueueOptions } from '@shop/redis-kit/rate-limit/queue'
import { PaymentPostponed } from './provider.ts'

/** Works when it is the call's turn. Throws PaymentPostponed when too many calls wait: the provider was not asked. */
export type InTurn = <Value>(work: () => Promise<Value>) => Promise<Value>

export interface TurnsOptions extends Pick<LeakyQueueOptions, 'onReserved' | 'onDegraded'> {
  keys: KeyFamily
  ratePerSecond: number
  /** The longest that a call waits. */
  maxWaitMs: number
}

/** There is one provider. */
const queueId = 'provider'

export function createPaymentTurns(redis: Redis, options: TurnsOptions): InTurn {
  const { keys, ratePerSecond, maxWaitMs, onReserved, onDegraded } = options
  const queue = createLeakyQueue(redis, {
    keys,
    limit: { count: ratePerSecond, periodMs: 1_000 },
    capacity: Math.floor((ratePerSecond * maxWaitMs) / 1_000),
    onUnavailable: 'open', // an order matters more than the rate
    onReserved,
    onDegraded,
  })
  return async (work) => {
    const ran = await queue.run(queueId, work)
    if (ran.status === 'refused')
      throw new PaymentPostponed(`the provider's next turn is ${ran.retryAfterMs} ms too far ahead`)
    return ran.value
  }
}
