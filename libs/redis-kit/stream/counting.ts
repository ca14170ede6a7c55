/**
 * A hand-out is counted in Redis before the handler gets the message, so only what a handler had counts. A fetch counts nothing:
 * its answer may be lost, or be too late, and then no handler has seen what it fetched. A handler that kills its process has been
 * counted before, so a message that does this is given up after `maxDeliveries` like any other. See docs/decisions/0015.
 */
import { isRedisOutage, OutcomeUnknown } from '../errors.ts'
import { fullJitterMs } from '../retry/retry.ts'
import { script } from '../script.ts'
import type { Arrival, Message } from './message.ts'
import type { Held, Partition } from './partition.ts'
import { pause } from './pause.ts'

const count = script<string[]>(new URL('./count.lua', import.meta.url), { effect: 'idempotent' })

/** Resolves with the messages that are still ours, counted and in hand. On failure none is in hand any more. */
export async function countHandOuts(partition: Partition, arrivals: readonly Arrival[]): Promise<Message[]> {
  if (arrivals.length === 0) return []
  const all = arrivals.map(({ held }) => held)
  try {
    const ours = new Set(await insist(partition, all))
    const [taken, lost] = [arrivals.filter(({ held }) => ours.has(held.id)), all.filter(({ id }) => !ours.has(id))]
    drop(partition, lost)
    const nowMs = performance.now()
    for (const { held } of taken) held.sinceMs = nowMs
    return taken.map(({ message }) => message)
  } catch (error) {
    drop(partition, all)
    throw error
  }
}

/**
 * For as long as Redis is away: the messages are held meanwhile, and others take them over if this consumer falls silent. A reader
 * that stops before the answer takes the count back, for nobody gets these messages from it.
 */
async function insist(partition: Partition, helds: readonly Held[]): Promise<string[]> {
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

function send({ redis, keys, settings }: Partition, helds: readonly Held[], lessCount: number): Promise<string[]> {
  const counts = helds.flatMap(({ id, deliveryCount }) => [id, deliveryCount - lessCount])
  return count(redis, [keys.stream], [settings.group, settings.consumer, ...counts])
}

function drop({ inFlight }: Partition, helds: readonly Held[]): void {
  for (const held of helds) inFlight.delete(held)
}
