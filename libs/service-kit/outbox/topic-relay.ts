/**
 * From a service's outbox to its topic, in one piece. When Redis has lost events that it had confirmed (a failover to a replica that
 * was behind, a file that is older), the outbox, which still has them, publishes them again.
 */
import type { Redis } from '@shop/redis-kit/client'
import { createTopic, type TopicKeys } from '@shop/redis-kit/stream'
import { createRelay, type Relay, type RelayOptions } from './outbox.ts'

/** Clocks of Redis and Postgres differ, and an event is in the one before it is marked in the other. */
const overlapMs = 60_000

export interface TopicRelayOptions extends Omit<RelayOptions, 'publish'> {
  /** Of the one topic that this service publishes; events of its outbox go nowhere else. */
  keys: TopicKeys
}

export function createTopicRelay(redis: Redis, { keys, log, ...options }: TopicRelayOptions): Relay {
  const topic = createTopic(redis, {
    keys,
    onDropped: (loss) =>
      log?.warn({ ...loss, topic: keys.name }, 'outbox: the stream was full, its oldest events were dropped'),
    onRegressed: (loss) => {
      log?.warn({ ...loss, topic: keys.name }, 'outbox: Redis has lost events; publishing them again')
      relay
        .republish(new Date(Math.max(0, loss.sinceMs - overlapMs)), keys.name)
        .catch((error) => log?.warn({ err: error, topic: keys.name }, 'outbox: publishing again has failed'))
    },
  })
  const relay = createRelay({ ...options, log, publish: (row) => topic.publish({ ...row, id: row.eventId }) })
  return relay
}
