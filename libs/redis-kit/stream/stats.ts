/** How far behind a group is: for a console and for alarms. */
import type { Redis } from '../connection/connection.ts'
import { script } from '../script.ts'
import type { TopicKeys } from './stream.ts'
import { millisecondsOf } from './stream-id.ts'

interface PartitionStats {
  partition: number
  /** Entries in the stream, those included that every group has finished. */
  lengthCount: number
  /** Entries not yet handed to the group. Counted, not estimated, while `isLagExact`. */
  lagCount: number
  isLagExact: boolean
  /** Handed out and not finished, those that wait for a retry included. */
  pendingCount: number
  retryCount: number
  deadLetterCount: number
  /** How long ago the oldest unfinished message was published: pending, or else unread. 0 when there is none. */
  oldestAgeMs: number
}

export interface TopicStats extends Omit<PartitionStats, 'partition'> {
  partitions: PartitionStats[]
}

type Reply = [
  lengthCount: number,
  lagCount: number,
  isLagExact: 0 | 1,
  pendingCount: number,
  oldestPendingId: string,
  oldestUnreadId: string,
  retryCount: number,
  deadLetterCount: number,
  nowMs: number,
]

const measure = script<Reply>(new URL('./stats.lua', import.meta.url), { effect: 'read' })
const MAX_COUNTED = 1000

export async function topicStats(redis: Redis, keys: TopicKeys, group: string): Promise<TopicStats> {
  const indexes = Array.from({ length: keys.partitions }, (_, index) => index)
  const partitions = await Promise.all(indexes.map((index) => partitionStats(redis, keys, group, index)))
  const sum = (count: (partition: PartitionStats) => number) => partitions.reduce((total, one) => total + count(one), 0)
  return {
    lengthCount: sum((one) => one.lengthCount),
    lagCount: sum((one) => one.lagCount),
    isLagExact: partitions.every((one) => one.isLagExact),
    pendingCount: sum((one) => one.pendingCount),
    retryCount: sum((one) => one.retryCount),
    deadLetterCount: sum((one) => one.deadLetterCount),
    oldestAgeMs: Math.max(...partitions.map((one) => one.oldestAgeMs)),
    partitions,
  }
}

async function partitionStats(
  redis: Redis,
  keys: TopicKeys,
  group: string,
  partition: number,
): Promise<PartitionStats> {
  const [lengthCount, lagCount, isLagExact, pendingCount, pendingId, unreadId, retryCount, deadLetterCount, nowMs] =
    await measure(
      redis,
      [keys.stream.key(partition), keys.retry.key(partition, group), keys.dead.key(partition)],
      [group, MAX_COUNTED],
    )
  const oldestId = pendingId || unreadId
  return {
    partition,
    lengthCount,
    lagCount,
    isLagExact: isLagExact === 1,
    pendingCount,
    retryCount,
    deadLetterCount,
    oldestAgeMs: oldestId ? Math.max(0, nowMs - millisecondsOf(oldestId)) : 0,
  }
}
