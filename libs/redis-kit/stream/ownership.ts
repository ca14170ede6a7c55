/**
 * Saying "still alive": for the messages in hand, so that nobody takes them over from a handler that merely takes long, and in
 * ordered mode for the partitions this consumer reads.
 *
 * In ordered mode a partition has one reader per group at a time. Who, follows from the list of the living alone (partition i
 * belongs to member i modulo their number), so all come to the same answer without talking to each other; the lease, a key
 * with an expiry that the fetching script checks, is what makes it true.
 */
import type { Redis } from '../connection/connection.ts'
import { every } from '../flow/every.ts'
import { script } from '../script.ts'
import { failHeld } from './message.ts'
import { isGroupGone, isPassing, type Partition } from './partition.ts'
import type { Settings } from './reader.ts'
import type { TopicKeys } from './stream.ts'

const announce = script<string[]>(new URL('./members.lua', import.meta.url), { effect: 'idempotent' })
const keepHold = script<string[]>(new URL('./hold.lua', import.meta.url), { effect: 'idempotent' })

const MAX_BEAT_MS = 1000

export interface Ownership {
  /** Beats until the signal aborts. Outages are waited out; throws what waiting cannot cure (WRONGTYPE, NOPERM). */
  run(signal: AbortSignal): Promise<void>
  /** Gives back what nobody works on any more. */
  leave(): Promise<void>
  /** After the end, the last message of a partition gives back its lease. */
  onSettled(partition: Partition): void
}

export function createOwnership(
  redis: Redis,
  keys: TopicKeys,
  settings: Settings,
  partitions: readonly Partition[],
): Ownership {
  const { consumer, group, minIdleMs, isOrdered } = settings
  const membersKey = keys.members.key(0, group)
  let hasLeft = false
  return { run, leave, onSettled }

  function run(signal: AbortSignal): Promise<void> {
    return every(Math.min(minIdleMs / 3, MAX_BEAT_MS), { signal }, async () => {
      // A beat that fails is made good by the next; if none succeeds for minIdleMs, others rightly take over.
      const assigned = isOrdered ? await Promise.allSettled([assign()]) : []
      report([...assigned, ...(await Promise.allSettled(partitions.map(beat)))])
    })
  }

  function report(beats: readonly PromiseSettledResult<void>[]): void {
    const failed = beats.filter((one) => one.status === 'rejected')
    if (failed.length === 0) settings.pulse.ok('beat')
    for (const { reason } of failed) {
      settings.pulse.failed(reason, 'beat')
      if (!isPassing(reason) && !isGroupGone(reason)) throw reason
    }
  }

  async function assign(): Promise<void> {
    const members = (await announce(redis, [membersKey], [consumer, minIdleMs])).sort()
    for (const { index, lease } of partitions) {
      lease.isWanted = members[index % members.length] === consumer
      if (!lease.isWanted) settings.pulse.ok(`partition ${index}`) // it is another consumer's to read
    }
  }

  async function leave(): Promise<void> {
    hasLeft = true
    if (!isOrdered) return
    const idle = partitions.filter(({ inFlight, lease }) => lease.isHeld && inFlight.size === 0)
    await Promise.allSettled([
      ...idle.map(({ lease }) => lease.giveBack()),
      announce(redis, [membersKey], [consumer, 0]),
    ])
  }

  function onSettled(partition: Partition): void {
    if (!hasLeft || !partition.lease.isHeld || partition.inFlight.size > 0) return
    partition.lease.giveBack().catch(() => undefined) // it expires
  }
}

async function beat(partition: Partition): Promise<void> {
  const { lease, settings } = partition
  if (settings.isOrdered && (lease.isHeld || lease.isWanted)) await lease.renew()
  await holdMessages(partition)
}

/** Renews the hold on what is being worked on, and gives up on what has been for too long. */
async function holdMessages(partition: Partition): Promise<void> {
  const { redis, keys, settings, inFlight } = partition
  const overdueMs = performance.now() - settings.maxHoldMs
  for (const held of inFlight) {
    if (held.sinceMs > overdueMs || held.isSettling) continue
    const error = new Error(`the handler took longer than ${settings.maxHoldMs} ms`)
    failHeld(partition, held, error).catch(() => undefined)
  }
  if (inFlight.size === 0) return
  const asked = [...inFlight]
  const ids = asked.map(({ id }) => id)
  const lost = await keepHold(redis, [keys.stream], [settings.group, settings.consumer, ...ids])
  const count = asked.filter((held) => lost.includes(held.id) && inFlight.has(held) && !held.isSettling).length
  if (count > 0) partition.report({ fact: 'ownership-lost', count })
}
