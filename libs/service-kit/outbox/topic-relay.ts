/**
 * From a service's outbox to its topics, in one piece: publishes, waits until Redis has the events on its disk, and compares the
 * outbox with the streams, so that what Redis loses nevertheless is published again, in its order, before anything that comes later.
 */
import type { Redis } from '@shop/redis-kit/connection'
import { createAlarm } from '@shop/redis-kit/flow/alarm'
import { every } from '@shop/redis-kit/flow/every'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import { checkNumbers, MAX_TIMER_MS } from '@shop/redis-kit/number-options'
import { createTopic, partitionOf, StreamRegressed, type Topic, type TopicKeys } from '@shop/redis-kit/stream'
import type pg from 'pg'
import { createOutboxAudit, type Loss, type OutboxAudit } from './audit.ts'
import { createConfirmation } from './confirmation.ts'
import { createRelay, type OutboxRow, type Place, type Relay, type RelayOptions } from './outbox.ts'
import { newestPlaces } from './places.ts'

export interface TopicRelayOptions extends Omit<RelayOptions, 'publish' | 'onTaken' | 'confirmation'> {
  /** Of every topic that this service publishes; events of its outbox go nowhere else. */
  keys: TopicKeys | readonly TopicKeys[]
  /** Makes a connection of role 'blocking', for durability 'fsynced'. @default none: durability is 'acknowledged' */
  connect?: () => Redis
  /**
   * When a row counts as published. `fsynced`: once the server says that the event is on its disk (Redis 7.2 or Valkey 8 with an
   * append-only file; another is taken at its word). `acknowledged`: once the server has it. Consumers wait for neither.
   * @default fsynced
   */
  durability?: 'fsynced' | 'acknowledged'
  /** How often the outbox is compared with the streams. @default 5_000 */
  auditEveryMs?: number
  /** What was sent so long ago and never confirmed belongs to a relay that died, and is sent again. @default 30_000 */
  resendAfterMs?: number
  /** Hears what a stream has lost. It is published again without further ado; for a counter and an alarm. */
  onLoss?: (loss: Loss) => void
}

interface OpenTopic {
  topic: Topic
  keys: TopicKeys
  audit: OutboxAudit
}

const auditJitter = 0.25

export function createTopicRelay(redis: Redis, options: TopicRelayOptions): Relay {
  checkNumbers('topic relay', options, {
    auditEveryMs: { min: 1, max: MAX_TIMER_MS / (1 + auditJitter) },
    resendAfterMs: { min: 0 },
  })
  const { keys, connect, durability = 'fsynced', auditEveryMs = 5000, resendAfterMs, onLoss, log, ...rest } = options
  const { pool } = rest
  const topics = new Map([keys].flat().map((one: TopicKeys) => [one.name, openTopic(one)]))
  const auditAlarm = createAlarm()
  const confirmation =
    connect && durability === 'fsynced'
      ? createConfirmation({ pool, topics: [keys].flat(), connect, onGone: auditAlarm.ring, log })
      : undefined
  const relay = createRelay({ ...rest, log, publish, onTaken, confirmation })
  return { ...relay, run }

  /** Nothing is published before the streams were looked at: what they have lost goes first. */
  async function run(signal: AbortSignal, pulse?: Pulse): Promise<void> {
    await compareAll(pulse)
    const ended = new AbortController()
    const relaying = relay.run(signal, pulse).finally(() => ended.abort())
    await Promise.all([relaying, auditing(signal, pulse), confirmation?.run(ended.signal, pulse)])
  }

  /**
   * What other relays have published since our last look: a stream without it has lost something. If instead a relay has
   * seen that already, its rows are there to be found as earlier ones of their keys: hence first this, then that.
   */
  async function onTaken(rows: readonly OutboxRow[], client: pg.PoolClient): Promise<void> {
    const taken = rows.flatMap(({ topic, key }) => {
      const open = topics.get(topic)
      return open ? [{ topic, partition: partitionOf(key, open.keys.partitions) }] : []
    })
    for (const { topic, partition, streamId } of await newestPlaces(client, taken)) {
      topics.get(topic)?.audit.reached(partition, streamId)
    }
  }

  async function publish(row: OutboxRow, takenMs: number): Promise<Place> {
    const open = topics.get(row.topic)
    // Held back like any event that cannot be published: a newer instance may know the topic.
    if (!open) throw new Error(`the outbox has an event for ${row.topic}, which is not a topic of this service`)
    const partition = partitionOf(row.key, open.keys.partitions)
    try {
      if (takenMs < open.audit.validSinceMs(partition)) {
        throw new StreamRegressed(`${row.topic} has lost events, or was not compared yet: lost events go first`)
      }
      const streamId = await open.topic.publish({ ...row, id: row.eventId })
      open.audit.reached(partition, streamId)
      return { partition, streamId }
    } catch (error) {
      if (error instanceof StreamRegressed) auditAlarm.ring()
      throw error
    }
  }

  function auditing(signal: AbortSignal, pulse?: Pulse): Promise<void> {
    const options = { signal, jitter: auditJitter, alarm: auditAlarm, first: 'pause' } as const
    return every(auditEveryMs, options, () => compareAll(pulse))
  }

  async function compareAll(pulse?: Pulse): Promise<void> {
    const all = Array.from(topics, async ([name, { audit }]) => {
      try {
        await audit.compare()
        pulse?.ok(`compare ${name}`)
      } catch (error) {
        pulse?.failed(error, `compare ${name}`)
        log?.warn({ err: error, topic: name }, 'outbox comparison postponed')
      }
    })
    await Promise.all(all)
  }

  function openTopic(topicKeys: TopicKeys): OpenTopic {
    const name = topicKeys.name
    const audit = createOutboxAudit({ pool, redis, keys: topicKeys, resendAfterMs, onLoss: publishAgain })
    const topic = createTopic(redis, {
      keys: topicKeys,
      reachedId: audit.reachedId,
      onDropped: (drop) =>
        log?.warn({ ...drop, topic: name }, 'stream trimmed: it was full, and its oldest events were dropped'),
    })
    return { topic, keys: topicKeys, audit }
  }

  function publishAgain(loss: Loss): void {
    log?.warn(loss, 'outbox events republished: Redis had lost them')
    onLoss?.(loss)
    relay.wake()
  }
}
