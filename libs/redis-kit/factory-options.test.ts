/** Each factory refuses numbers that make no sense when the thing is made, and names the option. Nothing here connects. */
import { describe, expect, test } from 'vitest'
import { connectRedis, connectSubscriber, type Redis } from './connection/connection.ts'
import { createBalancer } from './discovery/balancer.ts'
import { createDirectory, createRegistration, createRegistry, discoveryKeys } from './discovery/discovery.ts'
import { createIdempotency, idempotencyKeys } from './idempotency/idempotency.ts'
import { createLock, lockKeys } from './lock/lock.ts'
import { channelKeys, createChannel } from './pubsub/pubsub.ts'
import { createRateLimits } from './rate-limit/dimensions.ts'
import { createLeakyQueue, leakyQueueKeys } from './rate-limit/queue/queue.ts'
import { createRateLimit, rateLimitKeys } from './rate-limit/rate-limit.ts'
import { createRetryBudget, retry } from './retry/retry.ts'
import { createSessions, sessionKeys } from './session/session.ts'
import { createJanitor } from './stream/janitor.ts'
import { createTopic, topicKeys } from './stream/stream.ts'

const none = {} as never
const redis = none as Redis
const url = 'redis://127.0.0.1:1'
const registry = { ttlMs: 1 } as never
const limit = { keys: rateLimitKeys('t', 'test', 'cache'), limit: { count: 1, periodMs: 1_000 }, burst: 1 }
const topic = topicKeys('t', 'test')
const reading = { group: 'g', consumer: 'c', connect: none, signal: AbortSignal.abort() }
const session = { keys: sessionKeys('t'), idleMs: 1, absoluteMs: 1 }

type Make = (options: object) => unknown
/** @param options those that end in a timer are named with `timer` */
const factories: [name: string, make: Make, options: { timer?: string[]; other?: string[] }][] = [
  [
    'connectRedis',
    (o) => connectRedis(url, { name: 't', ...o }),
    { timer: ['commandTimeoutMs', 'blockMs', 'reconnectMaxMs'], other: ['maxPendingCount', 'maxPendingBytes'] },
  ],
  ['connectSubscriber', (o) => connectSubscriber(url, { name: 't', ...o }), { timer: ['commandTimeoutMs'] }],
  ['createLock', (o) => createLock(redis, { keys: lockKeys('t', 'test'), ...o }), { timer: ['ttlMs', 'maxHoldMs'] }],
  [
    'createIdempotency',
    (o) => createIdempotency(redis, { keys: idempotencyKeys('t', 'test'), ...o }),
    { other: ['ttlMs', 'leaseMs', 'maxRetryAfterMs', 'maxResponseBytes'] },
  ],
  [
    'createSessions',
    (o) => createSessions(redis, { ...session, ...o }),
    { other: ['idleMs', 'absoluteMs', 'maxPerUser'] },
  ],
  [
    'createRateLimit',
    (o) => createRateLimit(redis, { ...limit, onUnavailable: 'local', ...o }),
    { timer: ['deadlineMs'], other: ['maxLocalIds', 'maxKnownDenialMs'] },
  ],
  [
    'createLeakyQueue',
    (o) =>
      createLeakyQueue(redis, {
        keys: leakyQueueKeys('t', 'test', 'cache'),
        limit: { count: 1, periodMs: 1_000 },
        capacity: 1,
        onUnavailable: 'local',
        ...o,
      }),
    { timer: ['deadlineMs'], other: ['maxLocalIds', 'capacity'] },
  ],
  ['createRateLimits', (o) => createRateLimits(o), { timer: ['deadlineMs'] }],
  ['createRegistry', (o) => createRegistry(redis, { keys: discoveryKeys('t'), ...o }), { timer: ['ttlMs'] }],
  [
    'createDirectory',
    (o) => createDirectory(registry, none, { services: [], answers: none, ...o }),
    { timer: ['resyncMs'] },
  ],
  ['createRegistration', (o) => createRegistration(registry, none, o), { other: ['maxLagMs'] }],
  [
    'createBalancer',
    (o) => createBalancer({ instances: () => [] }, o),
    {
      other: ['maxFailures', 'ejectionMs', 'maxEjectionMs', 'slowStartMs', 'decayMs', 'maxEjectedRatio', 'panicRatio'],
    },
  ],
  [
    'createChannel',
    (o) => createChannel(redis, none, { keys: channelKeys('t', 'test'), ...o }),
    { other: ['maxMessageBytes', 'maxListenerCount'] },
  ],
  ['topicKeys', (o) => topicKeys('t', 'test', o), { other: ['partitions', 'dedupeMs'] }],
  ['createTopic', (o) => createTopic(redis, { keys: topic, ...o }), { other: ['maxLengthCount'] }],
  [
    'read',
    (o) => createTopic(redis, { keys: topic }).read({ ...reading, ...o }),
    {
      timer: ['minIdleMs', 'maxHoldMs', 'retryBaseMs', 'retryCapMs', 'blockMs'],
      other: ['maxDeliveries', 'concurrency', 'maxDeadLettersCount'],
    },
  ],
  [
    'createJanitor',
    (o) => createJanitor(redis, { keys: topic, ...o }),
    { timer: ['everyMs'], other: ['retainMs', 'consumerIdleMs', 'batchCount'] },
  ],
  ['createRetryBudget', (o) => createRetryBudget(o), { other: ['ratio', 'minPerSecond', 'burstCount'] }],
]

describe.each(factories)('%s', (_, make, { timer = [], other = [] }) => {
  test.each([...timer, ...other])('refuses %s that is no number, endless, negative or a text', (option) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1, '60', null]) {
      expect(() => make({ [option]: value }), String(value)).toThrow(RangeError)
      expect(() => make({ [option]: value }), String(value)).toThrow(option)
    }
  })

  if (timer.length > 0)
    test.each(timer)('refuses %s beyond a timer’s reach', (option) => {
      expect(() => make({ [option]: 2 ** 31 })).toThrow(option)
    })
})

test.each(['attempts', 'baseMs', 'capMs', 'deadlineMs'])('retry rejects %s that makes no sense', async (option) => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1, '60']) {
    const options = { deadlineMs: 1_000, isRetryable: () => false, [option]: value } as never
    await expect(retry(async () => 1, options)).rejects.toThrow(option)
  }
})

test('a balancer may count calls that last for ever, and no nonsense', () => {
  const make = (maxCallMs: number) => createBalancer({ instances: () => [] }, { maxCallMs })
  expect(() => make(Number.POSITIVE_INFINITY)).not.toThrow()
  for (const value of [Number.NaN, 0, -1]) expect(() => make(value)).toThrow('maxCallMs')
})
