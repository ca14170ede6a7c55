import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Cluster, Redis as Server } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connectSubscriber, type Subscriber, type SubscriberOptions } from '../connection.ts'
import type { Channels } from './subscriber.ts'

interface Topology {
  proxies: FaultProxy[]
  url: string
  natMap?: Record<string, { host: string; port: number }>
  channelsOf(subscriber: Subscriber): Channels
  /** Publishes around the proxies. */
  publish(channel: string, message: string): Promise<unknown>
  stop(): Promise<void>
}

async function behindProxies(ports: number[], scheme: string, stopServers: () => Promise<void>): Promise<Topology> {
  const proxies = await Promise.all(ports.map((port) => startFaultProxy({ port })))
  const direct = new Server(ports[0] as number)
  return {
    proxies,
    url: `${scheme}://${proxies.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    channelsOf: (subscriber) => subscriber,
    publish: (channel, message) => direct.publish(channel, message),
    stop: async () => {
      direct.disconnect()
      await Promise.all(proxies.map((proxy) => proxy.stop()))
      await stopServers()
    },
  }
}
async function cluster(): Promise<Topology> {
  const { nodes, stop } = await startCluster()
  return behindProxies(
    nodes.map(({ port }) => port),
    'redis+cluster',
    stop,
  )
}
const topologies: Record<string, () => Promise<Topology>> = {
  'one server': async () => {
    const server = await startRedis()
    return behindProxies([server.port], 'redis', server.stop)
  },
  'a Cluster': cluster,
  'a Cluster, sharded': async () => {
    const { nodes, stop } = await startCluster()
    const ports = nodes.map(({ port }) => port)
    const direct = new Cluster(ports)
    const topology = await behindProxies(ports, 'redis+cluster', async () => {
      direct.disconnect()
      await stop()
    })
    const natMap = Object.fromEntries(
      ports.map((port, i) => [
        `127.0.0.1:${port}`,
        { host: '127.0.0.1', port: (topology.proxies[i] as FaultProxy).port },
      ]),
    )
    return {
      ...topology,
      natMap,
      channelsOf: ({ sharded }) => sharded as Channels,
      publish: (channel, message) => direct.spublish(channel, message),
    }
  },
}

describe.each(Object.keys(topologies))('%s', (name) => {
  let topology: Topology
  let subscriber: Subscriber
  let channels: Channels
  let gaps: { reason: string; atMs: number }[]
  let messages: string[]
  let channel = ''
  let count = 0

  beforeAll(async () => {
    topology = await (topologies[name] as () => Promise<Topology>)()
  })
  beforeEach(() => {
    channel = `test:${++count}`
    messages = []
    gaps = []
  })
  afterEach(async () => {
    await subscriber.close()
    await each((proxy) => proxy.heal())
  })
  afterAll(() => topology.stop())

  const each = (act: (proxy: FaultProxy) => unknown) => Promise.all(topology.proxies.map(act))
  const reasons = () => gaps.map(({ reason }) => reason)
  const publish = (message: string) => topology.publish(channel, message)
  function connect(options?: Partial<SubscriberOptions>): void {
    subscriber = connectSubscriber(topology.url, { name: 'test', natMap: topology.natMap, ...options })
    channels = topology.channelsOf(subscriber)
    channels.onGap(({ reason }) => gaps.push({ reason, atMs: performance.now() }))
  }
  async function listen(options?: Partial<SubscriberOptions>): Promise<void> {
    connect({ commandTimeoutMs: 5000, ...options })
    await channels.subscribe(channel, (message) => messages.push(message))
  }

  test('delivers what is published once subscribe has resolved', async () => {
    await listen()
    expect(channels.isHealthy()).toBe(true)
    await publish('hello')
    await until(() => messages.length === 1)
    expect(messages).toEqual(['hello'])
    expect(gaps).toEqual([])
  })

  test('has several listeners per channel and leaves with the last', async () => {
    await listen()
    const others: string[] = []
    const leave = await channels.subscribe(channel, (message) => others.push(message))
    await publish('1')
    await until(() => messages.length + others.length === 2)
    await leave()
    await publish('2')
    await until(() => messages.length === 2)
    expect(others).toEqual(['1'])
  })

  test.each([
    ['a reset', (proxy: FaultProxy) => proxy.cut()],
    ['an outage', (proxy: FaultProxy) => proxy.refuse()],
    ['a black hole', (proxy: FaultProxy) => proxy.blackHole()],
  ])('announces a gap within three seconds of %s, and again once every channel is back', async (_, breakIt) => {
    await listen()
    const brokenMs = performance.now()
    await each(breakIt)
    await until(() => gaps.length > 0)
    expect(gaps[0]?.reason).toBe('the connection was lost')
    expect((gaps[0]?.atMs as number) - brokenMs).toBeLessThan(3000)
    await publish('missed')
    await each((proxy) => proxy.heal())
    await until(() => gaps.length === 2)
    expect(reasons()).toEqual(['the connection was lost', 'subscribed again'])
    expect(channels.isHealthy()).toBe(true)
    // The second gap comes after the confirmation, so nothing published from now on can be missed.
    await publish('after')
    await until(() => messages.includes('after'))
    expect(messages.at(-1)).toBe('after')
  })

  test('is unhealthy in a black hole, before anybody has said so', async () => {
    await listen()
    await each((proxy) => proxy.blackHole())
    await until(() => !channels.isHealthy())
  })

  test('remembers what was subscribed while nothing was connected', async () => {
    await each((proxy) => proxy.refuse())
    await listen({ commandTimeoutMs: 100 })
    expect(channels.isHealthy()).toBe(false)
    await each((proxy) => proxy.heal())
    await until(() => gaps.length === 1)
    expect(reasons()).toEqual(['subscribed again'])
    await publish('hello')
    await until(() => messages.length === 1)
  })

  test('announces a gap once a confirmation that came too late is there', async () => {
    await listen({ commandTimeoutMs: 200 })
    await until(() => channels.isHealthy())
    gaps.length = 0
    await each((proxy) => proxy.delay(600))
    const late: string[] = []
    await channels.subscribe(`${channel}:late`, (message) => late.push(message))
    expect(channels.isHealthy()).toBe(false)
    await until(() => gaps.length === 1)
    expect(reasons()).toEqual(['subscribed again'])
    await topology.publish(`${channel}:late`, 'hello')
    await until(() => late.length === 1)
  })

  test('keeps delivering when a listener throws', async () => {
    const errors: Error[] = []
    connect({ commandTimeoutMs: 5000, onError: (error) => errors.push(error) })
    await channels.subscribe(channel, () => {
      throw new Error('broken listener')
    })
    await channels.subscribe(channel, (message) => messages.push(message))
    await publish('1')
    await until(() => messages.length === 1)
    expect(errors.map(({ message }) => message)).toEqual(['broken listener'])
  })

  test('closes while nothing is connected', async () => {
    await each((proxy) => proxy.refuse())
    connect()
    await sleep(50)
    await subscriber.close()
    await subscriber.close()
  })
})

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 15_000
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within 15 s: ${condition}`)
    await sleep(20)
  }
}
