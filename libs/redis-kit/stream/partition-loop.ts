/** The loop over one partition: wait until there is a hand free, fetch, hand out, and listen when there is nothing. */
import { closeRedis, type Redis } from '../connection/connection.ts'
import { fullJitterMs } from '../flow/backoff.ts'
import { pause } from '../flow/pause.ts'
import { script } from '../script.ts'
import { countFirstHandOuts, countHandOuts } from './counting.ts'
import type { HandOut } from './hand-out.ts'
import {
  type Arrival,
  bury,
  type Entry,
  fieldsOf,
  finishEntry,
  type Message,
  toArrival,
  toArrivals,
} from './message.ts'
import { isGroupGone, isPassing, type Partition } from './partition.ts'

/** Where somebody asks for messages, and how they are handed over. */
type Room = Pick<HandOut<unknown>, 'reserve' | 'release'>
type Give = (messages: Message[]) => void

type Next = [
  state: 'entries' | 'empty' | 'wait' | 'not-owner' | 'swept',
  afterId: string,
  waitMs: number,
  lostCount: number,
  entries: Entry[],
  /** Fetched for the first time, see next-any.lua. */
  events?: string[],
]

const nextInOrder = script<Next>(new URL('./next-in-order.lua', import.meta.url))
const nextAny = script<Next>(new URL('./next-any.lua', import.meta.url))
const takeOver = script<[cursor: string, lostCount: number, entries: Entry[]]>(
  new URL('./take-over.lua', import.meta.url),
)

/** Runs until the reader stops. Outages are waited out; throws what waiting cannot cure (WRONGTYPE, NOPERM). */
export async function runPartition(partition: Partition, room: Room, give: Give): Promise<void> {
  const { signal, settings } = partition
  const name = `partition ${partition.index}`
  const doorbell = openDoorbell(partition)
  let failureCount = 0
  try {
    while (!signal.aborted) {
      try {
        const state = await turn(partition, room, give, doorbell.connection)
        if (state === 'swept') continue // shows that pending messages can be read, and no more
        failureCount = 0
        settings.pulse.ok(name)
      } catch (error) {
        if (signal.aborted) return
        settings.pulse.failed(error, name)
        if (isGroupGone(error)) {
          partition.isGroupKnown = false
          partition.report({ fact: 'group-lost' })
        } else if (isPassing(error)) {
          partition.report({ fact: 'interrupted', reason: String(error) })
        } else {
          throw error
        }
        failureCount += 1
        await pause(fullJitterMs(failureCount, { baseMs: 50, capMs: 2000 }), signal)
      }
    }
  } finally {
    await doorbell.close()
  }
}

async function turn(partition: Partition, room: Room, give: Give, doorbell: Redis): Promise<Next[0] | undefined> {
  const { settings, inFlight, signal, lease } = partition
  if (!partition.isGroupKnown) await ensureGroup(partition)
  while (inFlight.size >= settings.concurrency && !signal.aborted) await partition.alarm.next()
  if (settings.isOrdered && !(await lease.untilOurs(signal))) return undefined
  throwCountFailure(partition)

  const freeCount = settings.concurrency - inFlight.size
  // A hand takes one message, or one batch.
  const handCount = await room.reserve(settings.isBatched ? 1 : freeCount)
  if (handCount === 0) return undefined
  const askedMs = performance.now()
  let givenCount = 0
  let next: Next
  try {
    next = await (settings.isOrdered
      ? fetchInOrder(partition)
      : fetchAny(partition, settings.isBatched ? freeCount : handCount))
    const messages = await countAll(partition, next, performance.now() - askedMs)
    if (messages.length > 0) give(messages)
    givenCount = settings.isBatched ? Math.min(1, messages.length) : messages.length
  } catch (error) {
    // What it may have fetched is in our name, and in nobody's hand.
    Object.assign(partition.sweep, { scope: 'own', cursor: '0-0', dueMs: 0 })
    partition.isCountAnswered = false
    throw error
  } finally {
    room.release(handCount - givenCount)
  }
  await rest(partition, next, doorbell)
  return next[0]
}

function throwCountFailure(partition: Partition): void {
  const { countFailure } = partition
  delete partition.countFailure
  if (countFailure) throw countFailure.error
}

/** From the very beginning: a group that starts at `$` would miss what was published before it. */
async function ensureGroup(partition: Partition): Promise<void> {
  try {
    await partition.redis.xgroup('CREATE', partition.keys.stream, partition.settings.group, '0', 'MKSTREAM')
  } catch (error) {
    if (!(error instanceof Error && error.message.includes('BUSYGROUP'))) throw error
  }
  partition.isGroupKnown = true
}

async function fetchInOrder(partition: Partition): Promise<Next> {
  const { redis, keys, settings } = partition
  const next = await nextInOrder(redis, [keys.stream, keys.retry, keys.lease], [settings.group, settings.consumer])
  if (next[0] === 'not-owner') partition.lease.refused()
  reportLoss(partition, next[3])
  return next
}

/** What silent consumers left, when it is time to look; else what is due for a retry, and new messages. */
async function fetchAny(partition: Partition, count: number): Promise<Next> {
  const { redis, keys, settings, sweep, inFlight } = partition
  const names = [settings.group, settings.consumer]
  if (performance.now() >= sweep.dueMs) {
    const args = [
      ...names,
      settings.minIdleMs,
      sweep.cursor,
      count,
      sweep.scope,
      ...Array.from(inFlight, ({ id }) => id),
    ]
    const [cursor, lostCount, entries] = await takeOver(redis, [keys.stream, keys.retry], args)
    sweep.cursor = cursor
    if (cursor === '0-0' && sweep.scope === 'idle') sweep.dueMs = performance.now() + settings.minIdleMs / 2
    if (cursor === '0-0') sweep.scope = 'idle'
    reportLoss(partition, lostCount)
    if (entries.length > 0) partition.report({ fact: 'taken-over', count: entries.length })
    return ['swept', '', 0, lostCount, entries]
  }
  const next = await nextAny(redis, [keys.stream, keys.retry], [...names, count])
  reportLoss(partition, next[3])
  return next
}

/** An answer that took long may be of messages that others have taken over: whose they are is then asked before the hand-out. */
async function countAll(partition: Partition, next: Next, tookMs: number): Promise<Message[]> {
  const arrivals = await arrivalsOf(partition, next)
  const isFirst = next[4].length === 0 && tookMs < partition.settings.minIdleMs / 3
  return isFirst ? countFirstHandOuts(partition, arrivals) : countHandOuts(partition, arrivals)
}

/** What is to be handed out of a fetch, held. If this fails half-way, nothing is. */
async function arrivalsOf(partition: Partition, next: Next): Promise<Arrival[]> {
  const [, , , , entries, events = []] = next
  const arrivals: Arrival[] = []
  try {
    for (const entry of entries) {
      const arrival = await acceptable(partition, entry)
      if (arrival) arrivals.push(arrival)
    }
  } catch (error) {
    for (const { held } of arrivals) partition.inFlight.delete(held)
    throw error
  }
  arrivals.push(...toArrivals(partition, events))
  return arrivals
}

/** Undefined for what is not to be handed out: meant for another group, not an event, or a killer of its handlers. */
async function acceptable(partition: Partition, entry: Entry): Promise<Arrival | undefined> {
  const { group, maxDeliveries } = partition.settings
  const [id, , handOutCount] = entry
  const { only, ...fields } = fieldsOf(entry)
  if (only !== undefined && only !== group) {
    await finishEntry(partition, id)
    return undefined
  }
  if (handOutCount >= maxDeliveries) {
    await bury(partition, id, handOutCount, `delivered ${handOutCount} times without ack or failure`)
    return undefined
  }
  const arrival = toArrival(partition, entry)
  if (!arrival)
    await bury(partition, id, handOutCount + 1, `not an event: its fields are ${Object.keys(fields).join(', ')}`)
  return arrival
}

/** Nothing to hand out: listen until something comes, or until a retry or the next search is due. */
async function rest(partition: Partition, [state, afterId, waitMs]: Next, doorbell: Redis): Promise<void> {
  const { settings, sweep, signal, keys } = partition
  if (state === 'wait') await pause(Math.min(waitMs, settings.blockMs), signal)
  if (state !== 'empty') return
  const untilSweepMs = settings.isOrdered ? Infinity : sweep.dueMs - performance.now()
  const blockMs = Math.ceil(Math.max(1, Math.min(settings.blockMs, waitMs || Infinity, untilSweepMs)))
  await doorbell.xread('COUNT', 1, 'BLOCK', blockMs, 'STREAMS', keys.stream, afterId)
}

function reportLoss(partition: Partition, count: number): void {
  if (count > 0) partition.report({ fact: 'lost', count })
}

/** The blocking connection. Stopping cuts it off in the middle of its read, which is why nothing may hang on that read. */
function openDoorbell({ settings, signal }: Partition) {
  const connection = settings.connect()
  const close = () => closeRedis(connection)
  signal.addEventListener('abort', close, { once: true })
  return { connection, close }
}
