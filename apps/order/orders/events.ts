/** What the order service hears: the catalog's word on stock. */
import { StockEvent } from '@shop/contracts/events'
import type { Redis } from '@shop/redis-kit/connection'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Topic } from '@shop/redis-kit/stream'
import { settle } from '@shop/service-kit/events'
import { eventMustWait } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import { PaymentOutcomeUnknown, PaymentPostponed } from '../payment/provider.ts'
import type { Saga } from './saga.ts'

const group = 'order'
/** Orders at work at once per partition. They need no order among each other, and one may wait for the payment provider. */
const concurrency = 16
/** How soon the work of an instance that died is taken over; a buyer is waiting for it. */
const minIdleMs = 5_000
/** How long after an outage of Postgres or of the payment provider an order may still wait for its turn. */
const longestRetryMs = 5_000

interface Dependencies {
  stock: Topic
  saga: Saga
  consumer: string
  connect: () => Redis
  log: Log
}

/** Runs until the signal is aborted. */
export function consumeStock(dependencies: Dependencies) {
  return (signal: AbortSignal, pulse?: Pulse) => consume(dependencies, signal, pulse)
}

async function consume({ stock, saga, consumer, connect, log }: Dependencies, signal: AbortSignal, pulse?: Pulse) {
  const messages = stock.read({
    group,
    consumer,
    connect,
    signal,
    concurrency,
    minIdleMs,
    isOutage,
    retryCapMs: longestRetryMs,
    pulse,
    log,
  })
  const worker = async () => {
    for await (const message of messages) await settle(message, { schema: StockEvent, handle: saga.handle, log })
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}

/**
 * A provider that does not answer, or has no turn for us, is asked for as long as the reservation holds: the order is then cancelled and
 * it ends by itself.
 */
function isOutage(error: unknown): boolean {
  return error instanceof PaymentOutcomeUnknown || error instanceof PaymentPostponed || eventMustWait(error)
}
