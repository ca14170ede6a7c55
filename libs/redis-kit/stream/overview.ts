/**
 * A whole topic as a console shows it: every group that Redis knows, how far behind each is, and who reads for it.
 *
 *     const { groups } = await topicOverview(redis, keys)
 */
import type { Redis } from '../connection/connection.ts'
import { type TopicStats, topicStats } from './stats.ts'
import type { TopicKeys } from './stream.ts'

export interface ConsumerOverview {
  consumer: string
  /** What it was handed and has not finished, over all partitions. */
  pendingCount: number
  /** How long ago it last took a message or said that it still works on one. Who waits for messages says nothing. */
  idleMs: number
}

export interface GroupOverview extends Omit<TopicStats, 'lengthCount' | 'deadLetterCount' | 'partitions'> {
  group: string
  /** The busiest first, at most a hundred. */
  consumers: ConsumerOverview[]
}

export interface TopicOverview {
  topic: string
  partitionCount: number
  /** Entries on the stream, those included that every group has finished. */
  lengthCount: number
  /** Of all groups together: they lie in one stream per partition. */
  deadLetterCount: number
  /** By name. */
  groups: GroupOverview[]
}

const MAX_CONSUMERS = 100

/** Costs each group a count of at most a thousand unread entries per partition: for people who look, not for every request. */
export async function topicOverview(redis: Redis, keys: TopicKeys): Promise<TopicOverview> {
  const streams = Array.from({ length: keys.partitions }, (_, index) => keys.stream.key(index))
  const known = await Promise.all(streams.map((stream) => groupsOf(redis, stream)))
  const names = [...new Set(known.flat())].sort()
  const groups = await Promise.all(names.map((group) => groupOverview(redis, keys, streams, group)))
  const [lengths, deaths] = await Promise.all([
    Promise.all(streams.map((stream) => redis.xlen(stream))),
    Promise.all(streams.map((_, index) => redis.xlen(keys.dead.key(index)))),
  ])
  return {
    topic: keys.name,
    partitionCount: keys.partitions,
    lengthCount: sum(lengths),
    deadLetterCount: sum(deaths),
    groups,
  }
}

async function groupOverview(redis: Redis, keys: TopicKeys, streams: readonly string[], group: string) {
  const [stats, ...consumers] = await Promise.all([
    topicStats(redis, keys, group),
    ...streams.map((stream) => consumersOf(redis, stream, group)),
  ])
  const { lagCount, isLagExact, pendingCount, retryCount, oldestAgeMs } = stats
  return { group, lagCount, isLagExact, pendingCount, retryCount, oldestAgeMs, consumers: merge(consumers.flat()) }
}

async function groupsOf(redis: Redis, stream: string): Promise<string[]> {
  const groups = await orNone(redis.xinfo('GROUPS', stream))
  return groups.map((group) => String(field(group, 'name')))
}

async function consumersOf(redis: Redis, stream: string, group: string): Promise<ConsumerOverview[]> {
  const consumers = await orNone(redis.xinfo('CONSUMERS', stream, group))
  return consumers.map((consumer) => ({
    consumer: String(field(consumer, 'name')),
    pendingCount: Number(field(consumer, 'pending')),
    idleMs: Number(field(consumer, 'idle')),
  }))
}

function merge(consumers: readonly ConsumerOverview[]): ConsumerOverview[] {
  const byName = new Map<string, ConsumerOverview>()
  for (const { consumer, pendingCount, idleMs } of consumers) {
    const before = byName.get(consumer) ?? { consumer, pendingCount: 0, idleMs }
    before.pendingCount += pendingCount
    before.idleMs = Math.min(before.idleMs, idleMs)
    byName.set(consumer, before)
  }
  const busiestFirst = (a: ConsumerOverview, b: ConsumerOverview) =>
    b.pendingCount - a.pendingCount || a.idleMs - b.idleMs || (a.consumer < b.consumer ? -1 : 1)
  return [...byName.values()].sort(busiestFirst).slice(0, MAX_CONSUMERS)
}

/** A partition that nobody has published to, or a group that has not come to it yet, is no failure. */
async function orNone(reply: Promise<unknown>): Promise<unknown[][]> {
  try {
    return (await reply) as unknown[][]
  } catch (error) {
    if (error instanceof Error && /^ERR no such key|^NOGROUP/.test(error.message)) return []
    throw error
  }
}

/** Replies of XINFO are names and values in turns. */
function field(reply: readonly unknown[], name: string): unknown {
  return reply[reply.indexOf(name) + 1]
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
