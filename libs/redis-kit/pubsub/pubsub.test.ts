import { setTimeout as sleep } from 'node:timers/promises'
import { testRedis } from '@shop/test-kit/redis'
import type { Cluster, Redis as Server } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, connectSubscriber, type Redis, whenReady } from '../connection/connection.ts'
import { RedisOverloaded } from '../errors.ts'
import { type ChannelOptions, channelKeys, createChannel, MessageTooLarge, UndecodableMessage } from './pubsub.ts'

interface Status {
  status: string
  version: number
}

describe.each(['standalone', 'cluster'] as const)('%s', async (topology) => {
  const server = await testRedis({ topology })

  async function open(options: Partial<ChannelOptions<Status>> = {}) {
    const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 10_000 })
    const subscriber = connectSubscriber(server.url, { name: 'test', commandTimeoutMs: 10_000 })
    onTestFinished(async () => {
      await subscriber.close()
      await closeRedis(redis)
    })
    await whenReady(redis, 10_000)
    const keys = options.keys ?? channelKeys(server.namespace(), 'status')
    const errors: unknown[] = []
    const onError = (error: unknown) => errors.push(error)
    return {
      redis,
      subscriber,
      keys,
      errors,
      channel: createChannel<Status>(redis, subscriber, { onError, ...options, keys }),
    }
  }
  /** How many subscriptions Redis has for an id, on all nodes together. */
  async function subscriptionCount(name: string): Promise<number> {
    const connection = server.connect() as Server | Cluster
    const counts = await Promise.all(
      (await nodesOf(connection)).map(async (node) => {
        const [, global] = (await node.pubsub('NUMSUB', name)) as [string, number]
        const [, sharded] = (await node.pubsub('SHARDNUMSUB', name)) as [string, number]
        return global + sharded
      }),
    )
    connection.disconnect()
    return counts.reduce((sum, count) => sum + count, 0)
  }

  test('a message published once subscribe has resolved is heard, typed, by those of its id and no others', async () => {
    const { channel } = await open()
    const heard: [Status, string][] = []
    await channel.subscribe('o-1', (message, id) => heard.push([message, id]))
    await channel.subscribe('o-2', (message, id) => heard.push([message, id]))
    await channel.publish('o-1', { status: 'reserved', version: 2 })
    await until(() => heard.length > 0)
    await channel.publish('o-2', { status: 'confirmed', version: 3 })
    await until(() => heard.length > 1)
    expect(heard).toEqual([
      [{ status: 'reserved', version: 2 }, 'o-1'],
      [{ status: 'confirmed', version: 3 }, 'o-2'],
    ])
  })

  test('many listeners of an id are one subscription in Redis, which ends with the last of them', async () => {
    const { channel, keys } = await open()
    let heardCount = 0
    const leaves = await Promise.all(Array.from({ length: 50 }, () => channel.subscribe('o-1', () => heardCount++)))
    expect(await subscriptionCount(keys.key('o-1'))).toBe(1)
    expect(channel.stats()).toEqual({ listenerCount: 50, idCount: 1, undecodableCount: 0 })
    await channel.publish('o-1', { status: 'reserved', version: 1 })
    await until(() => heardCount === 50)

    const [last, ...others] = leaves as [() => Promise<void>]
    for (const leave of others) await (leave as () => Promise<void>)()
    expect(await subscriptionCount(keys.key('o-1'))).toBe(1)
    await channel.publish('o-1', { status: 'confirmed', version: 2 })
    await until(() => heardCount === 51)
    await last()
    await last() // twice is once
    expect(await subscriptionCount(keys.key('o-1'))).toBe(0)
    expect(channel.stats()).toEqual({ listenerCount: 0, idCount: 0, undecodableCount: 0 })
  })

  test('whoever comes while the last one leaves is heard of', async () => {
    const { channel, keys } = await open()
    let heardCount = 0
    for (let round = 1; round <= 20; round++) {
      const leave = await channel.subscribe('o-1', () => {})
      const leaving = leave()
      const stay = await channel.subscribe('o-1', () => heardCount++)
      await leaving
      await channel.publish('o-1', { status: 'x', version: round })
      await until(() => heardCount === round)
      await stay()
    }
    expect(await subscriptionCount(keys.key('o-1'))).toBe(0)
  })

  test('10,000 listeners of 2,000 ids each hear the messages of their id, in the order of publication', async () => {
    const { channel } = await open()
    const heard: number[][] = []
    await Promise.all(
      Array.from({ length: 10_000 }, (_, index) => {
        const versions: number[] = []
        heard.push(versions)
        return channel.subscribe(`o-${index % 2_000}`, ({ version }) => versions.push(version))
      }),
    )
    expect(channel.stats()).toMatchObject({ listenerCount: 10_000, idCount: 2_000 })
    const versions = Array.from({ length: 5 }, (_, index) => index)
    for (const version of versions) {
      await Promise.all(Array.from({ length: 2_000 }, (_, id) => channel.publish(`o-${id}`, { status: 'x', version })))
    }
    await until(() => heard.every(({ length }) => length === versions.length))
    for (const one of heard) expect(one).toEqual(versions)
  })

  test('no more listen than there is room for, and who leaves makes room', async () => {
    const { channel } = await open({ maxListenerCount: 2 })
    const leave = await channel.subscribe('o-1', () => {})
    await channel.subscribe('o-2', () => {})
    await expect(channel.subscribe('o-3', () => {})).rejects.toBeInstanceOf(RedisOverloaded)
    await leave()
    await channel.subscribe('o-3', () => {})
  })

  test('what is no message is counted and reported, and the next one is heard', async () => {
    const { channel, redis, keys, errors } = await open()
    const heard: Status[] = []
    await channel.subscribe('o-1', (message) => heard.push(message))
    await publishText(redis, keys.key('o-1'), '{"status":')
    await channel.publish('o-1', { status: 'reserved', version: 1 })
    await until(() => heard.length === 1)
    expect(errors).toEqual([expect.any(UndecodableMessage)])
    expect(channel.stats().undecodableCount).toBe(1)
  })

  test('a codec decides what is a message', async () => {
    const { channel, errors } = await open({
      codec: {
        encode: JSON.stringify,
        decode(text) {
          const message = JSON.parse(text) as Status
          if (!Number.isInteger(message.version)) throw new TypeError('no version')
          return message
        },
      },
    })
    const heard: Status[] = []
    await channel.subscribe('o-1', (message) => heard.push(message))
    await channel.publish('o-1', { status: 'later release' } as never)
    await channel.publish('o-1', { status: 'reserved', version: 1 })
    await until(() => heard.length === 1)
    expect(errors).toMatchObject([{ name: 'UndecodableMessage', cause: { message: 'no version' } }])
  })

  test('a listener that throws is reported and keeps the message from nobody', async () => {
    const { channel, errors } = await open()
    const heard: Status[] = []
    await channel.subscribe('o-1', () => {
      throw new Error('broken listener')
    })
    await channel.subscribe('o-1', (message) => heard.push(message))
    await channel.publish('o-1', { status: 'reserved', version: 1 })
    await until(() => heard.length === 1)
    expect(errors).toEqual([new Error('broken listener')])
  })

  test('a message above the limit, in bytes, is refused before it is sent', async () => {
    const { channel } = await open({ maxMessageBytes: 64 })
    const heard: Status[] = []
    await channel.subscribe('o-1', (message) => heard.push(message))
    await expect(channel.publish('o-1', { status: 'é'.repeat(30), version: 1 })).rejects.toBeInstanceOf(MessageTooLarge)
    await channel.publish('o-1', { status: 'é'.repeat(10), version: 2 })
    await until(() => heard.length === 1)
    expect(heard).toMatchObject([{ version: 2 }])
  })
})

async function publishText(redis: Redis, name: string, text: string): Promise<void> {
  await (redis.isCluster ? redis.spublish(name, text) : redis.publish(name, text))
}
async function nodesOf(redis: Server | Cluster): Promise<Server[]> {
  if (!('nodes' in redis)) return [redis]
  await redis.cluster('INFO') // a Cluster knows its nodes once it has answered
  return redis.nodes('master')
}
async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within 20 s: ${condition}`)
    await sleep(5)
  }
}
