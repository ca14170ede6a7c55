/**
 * A hand-out is counted in Redis before the handler gets the message, so only what a handler had counts. A fetch counts nothing:
 * its answer may be lost, or be too late, and then no handler has seen what it fetched. A handler that kills its process has been
 * counted before, so a message that does this is given up after `maxDeliveries` like any other. See docs/decisions/0015.
 *
 * The first hand-out of a message waits until the kernel has the count, each later one until Redis has answered it.
 */
import { isRedisOutage, OutcomeUnknown } from '../errors.ts'
import { fullJitterMs } from '../flow/backoff.ts'
import { pause } from '../flow/pause.ts'
import { script } from '../script.ts'
import type { Arrival, Message } from './message.ts'
import type { Held, Partition } from './partition.ts'

const count = script<string[]>(new URL('./count.lua', import.meta.url), { effect: 'idempotent' })

/** Resolves with the messages that are still ours, counted and in hand. On failure none is in hand any more. */
export async function countHandOuts(partition: Partition, arrivals: readonly Arrival[]): Promise<Message[]> {
  if (arrivals.length === 0) return []
  const all = arrivals.map(({ held }) => held)
  try {
    const lost = new Set(await countThroughOutage(partition, all))
    partition.isCountAnswered = true
    drop(
      partition,
      all.filter(({ id }) => lost.has(id)),
    )
    return inHand(arrivals.filter(({ held }) => !lost.has(held.id)))
  } catch (error) {
    drop(partition, all)
    throw error
  }
}

/**
 * The same for messages that were just fetched for the first time, and resolves as soon as the kernel has the count: it is on its
 * way even if a handler kills this process. Its answer is dealt with in the background. Only while counts are answered: the first
 * one on a connection may meet a server that does not know the script, and would have to be sent again.
 */
export async function countFirstHandOuts(partition: Partition, arrivals: readonly Arrival[]): Promise<Message[]> {
  if (arrivals.length === 0 || !partition.isCountAnswered) return countHandOuts(partition, arrivals)
  const helds = arrivals.map(({ held }) => held)
  const written = Promise.withResolvers<void>()
  const counting = send(partition, helds, 0, written.resolve)
  const isOnItsWay = await Promise.race([
    written.promise.then(() => true),
    counting.then(
      () => true,
      () => false,
    ),
  ])
  if (!isOnItsWay) return countHandOuts(partition, arrivals)
  const counted = counting.then(
    () => undefined,
    (error) => countAgain(partition, helds, error),
  )
  for (const held of helds) held.counted = counted
  return inHand(arrivals)
}

/**
 * The count of messages in hand has failed. Repeats it while Redis is away and a handler has them; what a handler has finished or
 * failed meanwhile needs none (retry.lua sets it). Another error ends the reader, in its next round.
 */
async function countAgain(partition: Partition, helds: readonly Held[], failure: unknown): Promise<void> {
  const { signal, inFlight } = partition
  partition.isCountAnswered = false
  let error = failure
  for (let attempt = 1; isRedisOutage(error); attempt++) {
    partition.report({ fact: 'interrupted', reason: String(error) })
    await pause(fullJitterMs(attempt, { baseMs: 50, capMs: 1000 }), signal)
    const left = helds.filter((held) => inFlight.has(held) && !held.isSettling)
    if (left.length === 0 || signal.aborted) return
    try {
      await send(partition, left, 0)
      return
    } catch (again) {
      error = again
    }
  }
  partition.countFailure = { error }
}

/**
 * Counts again for as long as Redis is away: the messages are held meanwhile, and others take them over if this consumer falls
 * silent. A reader that stops before the answer takes the count back, because no handler gets these messages from it.
 */
async function countThroughOutage(partition: Partition, helds: readonly Held[]): Promise<string[]> {
  const { signal, settings } = partition
  let isUnknown = false
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(partition, helds, 0)
    } catch (error) {
      isUnknown ||= error instanceof OutcomeUnknown
      if (!isRedisOutage(error)) throw error
      partition.report({ fact: 'interrupted', reason: String(error) })
      settings.pulse.failed(error, `partition ${partition.index}`)
      await pause(fullJitterMs(attempt, { baseMs: 50, capMs: 1000 }), signal)
      if (!signal.aborted) continue
      if (isUnknown) await send(partition, helds, 1).catch(() => undefined) // then it counts, as if its handler had died
      throw error
    }
  }
}

function send(partition: Partition, helds: readonly Held[], lessCount: number, onWritten?: () => void) {
  const { redis, keys, settings } = partition
  const counts = helds.flatMap(({ id, deliveryCount }) => [id, deliveryCount - lessCount])
  return count(redis, [keys.stream], [settings.group, settings.consumer, helds[0]?.id ?? '-', ...counts], onWritten)
}

function inHand(arrivals: readonly Arrival[]): Message[] {
  const nowMs = performance.now()
  for (const { held } of arrivals) held.sinceMs = nowMs
  return arrivals.map(({ message }) => message)
}

function drop({ inFlight }: Partition, helds: readonly Held[]): void {
  for (const held of helds) inFlight.delete(held)
}
