/**
 * From a service's outbox to its topics, in one piece. When Redis has lost events that it had confirmed (a failover to a replica that
 * was behind, a file that is older), the outbox, which still has them, publishes them again.
 */
import type { Redis } from '@shop/redis-kit/client'
import { createTopic, type Topic, type TopicKeys } from '@shop/redis-kit/stream'
import { createRelay, type OutboxRow, type Relay, type RelayOptions } from './outbox.ts'

/** Clocks of Redis and Postgres differ, and an event is in the one before it is marked in the other. */
const overlapMs = 60_000

export interface TopicRelayOptions extends Omit<RelayOptions, 'publish'> {
  /** Of every topic that this service publishes; events of its outbox go nowhere else. */
  keys: TopicKeys | readonly TopicKeys[]
}

export function createTopicRelay(redis: Redis, { keys, log, ...options }: TopicRelayOptions): Relay {
  const topics = new Map([keys].flat().map((one: TopicKeys) => [one.name, openTopic(one)]))
  const relay = createRelay({ ...options, log, publish })
  return relay

  async function publish(row: OutboxRow): Promise<string> {
    const topic = topics.get(row.topic)
    // Held back like any event that cannot be published: a newer instance may know the topic.
    if (!topic) throw new Error(`the outbox has an event for ${row.topic}, which is no topic of this service`)
    return topic.publish({ ...row, id: row.eventId })
  }

  function openTopic(topicKeys: TopicKeys): Topic {
    const topic = topicKeys.name
    return createTopic(redis, {
      keys: topicKeys,
      onDropped: (loss) => log?.warn({ ...loss, topic }, 'outbox: the stream was full, its oldest events were dropped'),
      onRegressed: (loss) => {
        log?.warn({ ...loss, topic }, 'outbox: Redis has lost events; publishing them again')
        relay
          .republish(new Date(Math.max(0, loss.sinceMs - overlapMs)), topic)
          .catch((error) => log?.warn({ err: error, topic }, 'outbox: publishing again has failed'))
      },
    })
  }
}
