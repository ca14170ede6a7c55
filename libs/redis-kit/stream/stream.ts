/**
 * Events between services on Redis Streams: at least once, in order per key, surviving the death of anybody.
 *
 *     const orders = createTopic(redis, { keys: topicKeys('order', 'events', { partitions: 2 }) })
 *     await orders.publish({ id, key: orderId, type: 'order.placed', body })
 *
 *     for await (const message of orders.read({ group: 'catalog', consumer: instanceId, connect, signal })) {
 *       await reserve(message)      // its effect and its dedupe row in one transaction
 *       await message.ack()         // after the work: a crash replays, never loses
 *     }
 *
 * A topic is a fixed number of partitions, each a stream of its own. All events of a key are in one partition, in the order in
 * which they were published. Readers, the fine print and the limits: README.md.
 */
import { crc32 } from 'node:zlib'
import type { Redis } from '../connection/connection.ts'
import { type KeyFamily, type KeyFamilyOptions, keyFamily } from '../keys.ts'
import { checkNumbers } from '../number-options.ts'
import type { Batch } from './batch.ts'
import { MAX_IDLE_MS, NOTE_MS, RETRY_SET_MS, SYNCED_MS } from './limits.ts'
import type { Message } from './message.ts'
import { createPublisher } from './publisher.ts'
import { type ReadBatchesOptions, type ReadOptions, readTopic, readTopicInBatches } from './reader.ts'
import { type TopicStats, topicStats } from './stats.ts'

export type { Batch } from './batch.ts'
export type { Message } from './message.ts'
export { StreamRegressed } from './publisher.ts'

export interface TopicKeysOptions {
  /** Fixed for the life of the topic: another number sends the events of a key elsewhere. @default 4 */
  partitions?: number
  /** How long a published event id is remembered, so that publishing it again adds nothing. @default 600_000 */
  dedupeMs?: number
  /** Readers are writers here: their groups write down what they have finished, retry or give up. @default nobody */
  sharedWith?: KeyFamilyOptions['sharedWith']
}

export interface TopicKeys {
  /** `order:events` */
  name: string
  partitions: number
  dedupeMs: number
  stream: KeyFamily
  dead: KeyFamily
  seen: KeyFamily
  oldest: KeyFamily
  synced: KeyFamily
  retry: KeyFamily
  lease: KeyFamily
  members: KeyFamily
  families: KeyFamily[]
}

/** The keys of a topic. The partition is the hash tag: whatever must move together is in one slot of a Cluster. */
export function topicKeys(
  service: string,
  entity: string,
  { partitions = 4, dedupeMs = 600_000, sharedWith }: TopicKeysOptions = {},
): TopicKeys {
  const name = `${service}:${entity}`
  const whole = { min: 1, isWhole: true }
  checkNumbers(`topic ${name}`, { partitions, dedupeMs }, { partitions: { ...whole, max: 1_000 }, dedupeMs: whole })
  const family = (attribute: string, rest: Pick<KeyFamilyOptions, 'type' | 'ttl' | 'example' | 'doc' | 'sharedWith'>) =>
    keyFamily({ service, pattern: `${name}:{<partition>}:${attribute}`, role: 'state', sharedWith, ...rest })

  const stream = family('stream', {
    type: 'stream',
    ttl: { immortal: 'this is the log; the janitor trims what every group has finished, and its length is capped' },
    example: [0],
    doc: 'the events in the order of their publication',
  })
  const dead = family('dead', {
    type: 'stream',
    ttl: { immortal: 'a dead letter waits for a person who redrives or discards it; its length is capped' },
    example: [0],
    doc: 'dead-lettered events, each with its group, reason and number of attempts',
  })
  const ofOwner = { sharedWith: {} } // only its publisher looks
  const seen = family('seen:<time>', {
    ...ofOwner,
    type: 'string',
    ttl: { ms: dedupeMs },
    example: [0, '019aae3f-2b18'],
    doc: 'the positions of recently published events; one key for all that were created within a few milliseconds',
  })
  const oldest = family('oldest', {
    ...ofOwner,
    type: 'string',
    ttl: { ms: NOTE_MS },
    example: [0],
    doc: 'the first entry of the stream after the last trimming: a stream that begins later has lost entries',
  })
  const synced = family('synced', {
    ...ofOwner,
    type: 'string',
    ttl: { ms: SYNCED_MS },
    example: [0],
    doc: 'nothing of use: once this write is on the disk, so is everything that was published before it',
  })
  const perGroup = { example: [0, 'catalog'] }
  const retry = family('retry:<group>', {
    ...perGroup,
    type: 'zset',
    ttl: { ms: RETRY_SET_MS },
    doc: 'the messages that a group will retry, by due time, ms',
  })
  const lease = family('lease:<group>', {
    ...perGroup,
    type: 'string',
    ttl: { ms: MAX_IDLE_MS },
    doc: 'the consumer of a group that reads this partition, in ordered mode',
  })
  const members = family('members:<group>', {
    ...perGroup,
    type: 'zset',
    ttl: { ms: MAX_IDLE_MS },
    doc: 'the living consumers of a group, in ordered mode; kept in partition 0',
  })
  const families = [stream, dead, seen, oldest, synced, retry, lease, members]
  return { name, partitions, dedupeMs, stream, dead, seen, oldest, synced, retry, lease, members, families }
}

export interface TopicOptions {
  keys: TopicKeys
  /**
   * A fuse per partition, about ten times what is normal: beyond it the oldest entries are dropped, read or not.
   * Ordinary trimming is the janitor's (janitor.ts), which drops nothing that a group still needs.
   * @default 1_000_000
   */
  maxLengthCount?: number
  /** Hears of every time the fuse burnt: events were dropped that nobody may have read. */
  onDropped?: (loss: { partition: number; count: number }) => void
  /**
   * An entry that the stream had confirmed, the newest known: if it is not there, `publish` appends nothing and throws
   * StreamRegressed, until this names another. As long as it is there, so is everything before it, for Redis loses from the end.
   * For a publisher that has kept what was lost. @default nothing is checked
   */
  reachedId?: (partition: number) => string
}

export interface TopicEvent {
  /** Unique for ever; the same event published again has the same id. */
  id: string
  /** What the event is about: events of one key stay in order. */
  key: string
  type: string
  /** As text, usually JSON; this pattern does not look inside. */
  body: string
}

export interface Topic {
  /**
   * Appends the event and returns its id on the stream; publishing the same event id again within `dedupeMs` returns that id
   * and appends nothing, so whoever is unsure (OutcomeUnknown) simply publishes again. An id that begins with its time (UUIDv7)
   * is remembered in a fraction of the memory.
   */
  publish(event: TopicEvent): Promise<string>
  /** Everything the group has not finished, from the beginning of the stream. See reader.ts. */
  read(options: ReadOptions): AsyncIterableIterator<Message>
  /** The same, several messages at a time, for one hand: in any order. */
  readBatches(options: ReadBatchesOptions): AsyncIterableIterator<Batch>
  /** How far behind a group is. */
  stats(group: string): Promise<TopicStats>
}

export function createTopic(redis: Redis, options: TopicOptions): Topic {
  const { keys } = options
  checkNumbers(`topic ${keys.name}`, options, { maxLengthCount: { min: 1, isWhole: true } })
  const publishers = Array.from({ length: keys.partitions }, (_, index) => createPublisher(redis, index, options))
  return {
    publish: (event) => (publishers[partitionOf(event.key, keys.partitions)] as Topic['publish'])(event),
    read: (readOptions) => readTopic(redis, keys, readOptions),
    readBatches: (readOptions) => readTopicInBatches(redis, keys, readOptions),
    stats: (group) => topicStats(redis, keys, group),
  }
}

/** Where the events of a key are. The same in every process and for ever, so it is a plain checksum (CRC-32). */
export function partitionOf(key: string, partitions: number): number {
  return crc32(key) % partitions
}
