/** The loop over one partition: wait until there is a hand free, fetch, hand out, and listen when there is nothing. */
import { closeRedis, type Redis } from '../client.ts'
import { isRedisOutage } from '../errors.ts'
import { fullJitterMs } from '../retry/retry.ts'
import { script } from '../script.ts'
import type { HandOut } from './hand-out.ts'
import { bury, type Entry, fieldsOf, finishEntry, type Message, toMessage, toMessages } from './message.ts'
import { giveBackLease } from './ownership.ts'
import { changed, isGroupGone, type Partition } from './partition.ts'
import { pause } from './pause.ts'

/** Where somebody asks for messages, and how they are handed over. */
type Room = Pick<HandOut<unknown>, 'reserve' | 'release'>
type Give = (messages: Message[]) => void

type Next = [
  state: 'entries' | 'empty' | 'wait' | 'not-owner',
  afterId: string,
  waitMs: number,
  lostCount: number,
  entries: Entry[],
  /** First deliveries, see next-any.lua. */
  events?: string[],
]

const nextInOrder = script<Next>(new URL('./next-in-order.lua', import.meta.url))
const nextAny = script<Next>(new URL('./next-any.lua', import.meta.url))
const takeOver = script<[cursor: string, lostCount: number, entries: Entry[]]>(
  new URL('./take-over.lua', import.meta.url),
)

/** Runs until the reader stops. Outages are waited out; throws what waiting cannot cure (WRONGTYPE, NOPERM). */
export async function runPartition(partition: Partition, room: Room, give: Give): Promise<void> {
  const { signal } = partition
  const doorbell = openDoorbell(partition)
  let failureCount = 0
  try {
    while (!signal.aborted) {
      try {
        await turn(partition, room, give, doorbell.connection)
        failureCount = 0
      } catch (error) {
        if (signal.aborted) return
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

async function turn(partition: Partition, room: Room, give: Give, doorbell: Redis): Promise<void> {
  const { settings, inFlight } = partition
  if (!partition.isGroupKnown) await ensureGroup(partition)
  while (inFlight.size >= settings.concurrency && !partition.signal.aborted) await changed(partition)
  if (settings.isOrdered && !(await holdsLease(partition))) return

  const freeCount = settings.concurrency - inFlight.size
  // A hand takes one message, or one batch.
  const handCount = await room.reserve(settings.isBatched ? 1 : freeCount)
  if (handCount === 0) return
  const messages: Message[] = []
  let next: Next
  try {
    next = await (settings.isOrdered
      ? fetchInOrder(partition)
      : fetchAny(partition, settings.isBatched ? freeCount : handCount))
    for (const entry of next[4]) {
      const message = await acceptable(partition, entry)
      if (message) messages.push(message)
    }
    messages.push(...toMessages(partition, next[5] ?? []))
  } finally {
    // Also when this failed in between: what was accepted is in our name, and somebody has to finish it.
    if (messages.length > 0) give(messages)
    room.release(handCount - (settings.isBatched ? Math.min(1, messages.length) : messages.length))
  }
  await rest(partition, next, doorbell)
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

async function holdsLease(partition: Partition): Promise<boolean> {
  const { lease, signal } = partition
  while (!signal.aborted) {
    if (lease.isHeld && lease.isWanted) return true
    if (lease.isHeld) await giveBackLease(partition)
    else await changed(partition)
  }
  return false
}

async function fetchInOrder(partition: Partition): Promise<Next> {
  const { redis, keys, settings } = partition
  const next = await nextInOrder(redis, [keys.stream, keys.retry, keys.lease], [settings.group, settings.consumer])
  if (next[0] === 'not-owner') partition.lease.isHeld = false
  reportLoss(partition, next[3])
  return next
}

/** What silent consumers left, when it is time to look; else what is due for a retry, and new messages. */
async function fetchAny(partition: Partition, count: number): Promise<Next> {
  const { redis, keys, settings, sweep } = partition
  const names = [settings.group, settings.consumer]
  if (performance.now() >= sweep.dueMs) {
    const args = [...names, settings.minIdleMs, sweep.cursor, count, sweep.scope]
    const [cursor, lostCount, entries] = await takeOver(redis, [keys.stream, keys.retry], args)
    sweep.cursor = cursor
    if (cursor === '0-0' && sweep.scope === 'idle') sweep.dueMs = performance.now() + settings.minIdleMs / 2
    if (cursor === '0-0') sweep.scope = 'idle'
    reportLoss(partition, lostCount)
    if (entries.length > 0) partition.report({ fact: 'taken-over', count: entries.length })
    return ['entries', '', 0, lostCount, entries]
  }
  const next = await nextAny(redis, [keys.stream, keys.retry], [...names, count])
  reportLoss(partition, next[3])
  return next
}

/** The message, unless it is not for us to hand out: meant for another group, not an event, or a killer of its handlers. */
async function acceptable(partition: Partition, entry: Entry): Promise<Message | undefined> {
  const { group, maxDeliveries } = partition.settings
  const [id, , deliveryCount] = entry
  const { only, ...fields } = fieldsOf(entry)
  if (only !== undefined && only !== group) {
    await finishEntry(partition, id)
    return undefined
  }
  if (deliveryCount > maxDeliveries) {
    await bury(partition, id, maxDeliveries, `delivered ${maxDeliveries} times and never answered for`)
    return undefined
  }
  const message = toMessage(partition, entry)
  if (!message) await bury(partition, id, deliveryCount, `not an event: it has ${Object.keys(fields).join(', ')}`)
  return message
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

/** What time cures: no connection, a server that is loading or demoted, a read that was interrupted. */
function isPassing(error: unknown): boolean {
  if (isRedisOutage(error)) return true
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) return false
  return error.name !== 'ReplyError' || /UNBLOCKED|MOVED|BUSY/.test(error.message)
}
