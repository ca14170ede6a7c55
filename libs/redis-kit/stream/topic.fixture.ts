/** A topic in a namespace of its own, and consumers that are stopped when the test is over. */
import type { TestRedis, Topology } from '@shop/test-kit/redis'
import { expect, onTestFinished } from 'vitest'
import { closeRedis, connectRedis } from '../connection/connection.ts'
import { createDeadLetters } from './dead-letters.ts'
import type { ObservedFact, ReadOptions } from './reader.ts'
import { createTopic, type Message, partitionOf, type TopicEvent, type TopicKeysOptions, topicKeys } from './stream.ts'

/** Short, so that a takeover can be waited for; a handler five times as long is still short. */
export const minIdleMs = 300

/** The topic may be used by another user than the one who looks behind the scenes. */
export type TopicServers = TestRedis<Topology> & { userUrl?: string }

export function setUp(servers: TopicServers, options: TopicKeysOptions & { maxLengthCount?: number } = {}) {
  const isDeclaredImmortal = (key: string) =>
    keys.families.some((family) => 'immortal' in family.ttl && family.matches(key))
  const service = servers.namespace({ allowImmortal: isDeclaredImmortal })
  const keys = topicKeys(service, 'events', { partitions: 2, ...options })
  const dropped: number[] = []
  /** What the owner of the stream believes to be its newest entry, by partition. */
  const reached = new Map<number, string>()
  const { url, userUrl = url } = servers
  const redis = connectRedis(url, { name: service, commandTimeoutMs: 3000 })
  onTestFinished(() => closeRedis(redis))
  const user = connectRedis(userUrl, { name: service, commandTimeoutMs: 3000 })
  onTestFinished(() => closeRedis(user))
  const topic = createTopic(user, {
    keys,
    maxLengthCount: options.maxLengthCount,
    onDropped: ({ count }) => dropped.push(count),
    reachedId: (index) => reached.get(index) ?? '',
  })
  const letters = createDeadLetters(user, { keys })
  const connect = () => connectRedis(userUrl, { name: `${service}-blocking`, role: 'blocking' })
  let eventCount = 0

  /** Publishes one event; all of them are of one key, hence in one partition, unless said otherwise. */
  function publish(event: Partial<TopicEvent> = {}) {
    eventCount += 1
    return topic.publish({ id: `event-${eventCount}`, key: 'one', type: 'counted', body: String(eventCount), ...event })
  }

  /** A loop as services write it, running beside the test. */
  function consume(
    consumer: string,
    handle: (message: Message) => Promise<unknown>,
    options: Partial<ReadOptions> = {},
  ) {
    const stopping = new AbortController()
    const facts: ObservedFact[] = []
    const seen: Message[] = []
    const messages = topic.read({
      group: 'group',
      consumer,
      connect,
      signal: stopping.signal,
      minIdleMs,
      retryBaseMs: 20,
      observe: (fact) => facts.push(fact),
      ...options,
    })
    const worker = async () => {
      for await (const message of messages) {
        seen.push(message)
        await handle(message)
      }
    }
    const done = Promise.all(Array.from({ length: options.concurrency ?? 1 }, worker))
    done.catch(() => undefined)
    const stop = async () => {
      stopping.abort()
      await done
    }
    onTestFinished(() => stop().catch(() => undefined))
    return { seen, facts, stop, done, bodies: () => seen.map(({ body }) => body) }
  }

  const partition = partitionOf('one', keys.partitions)
  return {
    keys,
    redis,
    user,
    topic,
    letters,
    publish,
    consume,
    connect,
    dropped,
    reached,
    service,
    partition,
    raw: servers.connect(),
  }
}

export const ack = (message: Message) => message.ack()

/** Waits until it is so, by looking again and again. */
export function eventually(look: () => unknown, timeout = 10_000) {
  return expect.poll(look, { timeout, interval: 10 })
}

/** A promise that the test resolves: a handler that takes as long as it is told. */
export function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  onTestFinished(() => resolve())
  return { passed: promise, open: resolve }
}
