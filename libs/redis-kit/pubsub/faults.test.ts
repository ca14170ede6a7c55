/** Hints over connections that break, and as a user who may use one channel. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { type RedisServer, startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Redis as Server } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '../connection/connection.ts'
import { RedisUnavailable } from '../errors.ts'
import { channelKeys, createChannel } from './pubsub.ts'

const keys = channelKeys('order', 'status')

async function startServer(): Promise<RedisServer> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  return server
}
function talkTo({ port }: { port: number }): Server {
  const direct = new Server(port)
  onTestFinished(() => direct.disconnect())
  return direct
}
async function open(url: string, publishUrl = url) {
  const redis = connectRedis(publishUrl, { name: 'test-publisher', commandTimeoutMs: 1000 })
  const subscriber = connectSubscriber(url, { name: 'test-subscriber', commandTimeoutMs: 10_000 })
  onTestFinished(async () => {
    await subscriber.close()
    await closeRedis(redis)
  })
  await whenReady(redis, 10_000)
  const channel = createChannel<{ version: number }>(redis, subscriber, { keys })
  const gaps: string[] = []
  channel.onGap(({ reason }) => gaps.push(reason))
  const heard: number[] = []
  await channel.subscribe('o-1', ({ version }) => heard.push(version))
  return { channel, gaps, heard, redis, subscriber }
}

test('CLIENT KILL is a gap, and what is published once it is over is heard', async () => {
  const server = await startServer()
  const { channel, gaps, heard } = await open(server.url)
  expect(await talkTo(server).call('CLIENT', 'KILL', 'TYPE', 'pubsub')).toBe(1)
  await until(() => gaps.length === 2)
  expect(gaps).toEqual(['the connection was lost', 'subscribed again'])
  await channel.publish('o-1', { version: 2 })
  await until(() => heard.length === 1)
  expect(heard).toEqual([2])
})

test('a black hole is a gap within three seconds, though the server believes that its messages are heard', async () => {
  const server = await startServer()
  const proxy: FaultProxy = await startFaultProxy({ port: server.port })
  onTestFinished(() => proxy.stop())
  const { channel, gaps, heard } = await open(proxy.url, server.url)
  const brokenMs = performance.now()
  proxy.blackHole()
  await channel.publish('o-1', { version: 1 })
  await until(() => gaps.length === 1)
  expect(performance.now() - brokenMs).toBeLessThan(3000)
  await proxy.heal()
  await until(() => gaps.length === 2)
  await channel.publish('o-1', { version: 2 })
  await until(() => heard.length > 0)
  expect(heard).toEqual([2])
})

test('what nobody could be told is RedisUnavailable, and nothing is sent later', async () => {
  const server = await startServer()
  const proxy = await startFaultProxy({ port: server.port })
  onTestFinished(() => proxy.stop())
  const { channel, heard, redis } = await open(server.url, proxy.url)
  await proxy.refuse()
  await until(() => redis.status !== 'ready') // before that nobody would know
  await expect(channel.publish('o-1', { version: 1 })).rejects.toBeInstanceOf(RedisUnavailable)
  await proxy.heal()
  await whenReady(redis, 10_000)
  await channel.publish('o-1', { version: 2 })
  await until(() => heard.length > 0)
  expect(heard).toEqual([2])
})

describe('a user with the rights of the declared channel and no others', () => {
  const connecting = ['+ping', '+hello', '+auth', '+client|setname', '+client|id']

  test('publishes and subscribes there, and nowhere else', async () => {
    const server = await startServer()
    const commands = ['+publish', '+subscribe', '+unsubscribe']
    await talkTo(server).acl(
      'SETUSER',
      'app',
      'on',
      '>secret',
      'resetchannels',
      `&${keys.glob}`,
      ...connecting,
      ...commands,
    )
    const { channel, heard, redis, subscriber } = await open(server.url.replace('://', '://app:secret@'))
    await channel.publish('o-1', { version: 1 })
    await until(() => heard.length === 1)
    const other = createChannel(redis, subscriber, { keys: channelKeys('order', 'secret') })
    await expect(other.publish('o-1', {})).rejects.toMatchObject({ message: expect.stringMatching(/^NOPERM/) })
    await expect(other.subscribe('o-1', () => {})).rejects.toMatchObject({ message: expect.stringMatching(/^NOPERM/) })
    expect(other.stats()).toEqual({ listenerCount: 0, idCount: 0, undecodableCount: 0 })
  })

  test('on a Cluster too', async () => {
    const cluster = await startCluster()
    onTestFinished(() => cluster.stop())
    const commands = ['+spublish', '+ssubscribe', '+sunsubscribe', '+cluster|slots', '+cluster|info']
    for (const node of cluster.nodes.map(talkTo)) {
      await node.acl('SETUSER', 'app', 'on', '>secret', 'resetchannels', `&${keys.glob}`, ...connecting, ...commands)
    }
    const { channel, heard, redis, subscriber } = await open(cluster.url.replace('://', '://app:secret@'))
    await channel.publish('o-1', { version: 1 })
    await until(() => heard.length === 1)
    const other = createChannel(redis, subscriber, { keys: channelKeys('order', 'secret') })
    await expect(other.publish('o-1', {})).rejects.toMatchObject({ message: expect.stringMatching(/^NOPERM/) })
    await expect(other.subscribe('o-1', () => {})).rejects.toMatchObject({ message: expect.stringMatching(/^NOPERM/) })
  })
})

test('a subscriber that cannot hear what is published is refused at once', async () => {
  const server = await startServer()
  const { redis, subscriber } = await open(server.url)
  expect(() => createChannel(redis, subscriber, { keys, isSharded: true })).toThrow('not connected to a Cluster')
})

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 15_000
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within 15 s: ${condition}`)
    await sleep(10)
  }
}
