/** Sharded channels of a Cluster whose nodes go away, change roles and exchange slots. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { type RedisCluster, startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Cluster, Command, Redis as Server } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { connectSubscriber, type SubscriberOptions } from '../connection.ts'
import type { Channels } from './subscriber.ts'

async function start(options?: Parameters<typeof startCluster>[0]): Promise<RedisCluster> {
  const cluster = await startCluster(options)
  onTestFinished(() => cluster.stop())
  return cluster
}
function talkTo({ port }: { port: number }): Server {
  const direct = new Server(port, { retryStrategy: () => 100 })
  direct.on('error', () => {})
  onTestFinished(() => direct.disconnect())
  return direct
}
function publisher(cluster: RedisCluster): Cluster {
  const direct = new Cluster(cluster.nodes.map(({ port }) => port))
  direct.on('error', () => {})
  onTestFinished(() => direct.disconnect())
  return direct
}
function connect(url: string, options?: Partial<SubscriberOptions>) {
  const errors: Error[] = []
  const subscriber = connectSubscriber(url, {
    name: 'test-subscriber',
    commandTimeoutMs: 10_000,
    onError: (error) => errors.push(error),
    ...options,
  })
  onTestFinished(() => subscriber.close())
  const channels = subscriber.sharded as Channels
  const gaps: string[] = []
  channels.onGap(({ reason }) => gaps.push(reason))
  return { subscriber, channels, gaps, errors }
}
/** Enough for every shard to have some. */
const names = Array.from({ length: 60 }, (_, i) => `status:{${i}}`)
const slotOf = (name: string) => new Command('ssubscribe', [name]).getSlot() as number

/** Which messages were heard, by channel. */
async function listenToAll(channels: Channels): Promise<Map<string, string[]>> {
  const heard = new Map(names.map((name) => [name, [] as string[]]))
  await Promise.all(
    names.map((name) => channels.subscribe(name, (message, channel) => heard.get(channel)?.push(message))),
  )
  return heard
}
const publishToAll = (direct: Cluster, message: string) =>
  Promise.all(names.map((name) => direct.spublish(name, message)))
const haveAll = (heard: Map<string, string[]>, message: string) =>
  [...heard.values()].every((messages) => messages.at(-1) === message)

test('each channel is on the one shard of its name, and nobody is connected before there is a channel', async () => {
  const cluster = await start()
  const { channels } = connect(cluster.url)
  const nodes = cluster.nodes.map(talkTo)
  const connectionCounts = () =>
    Promise.all(
      nodes.map(async (node) => String(await node.client('LIST')).match(/name=test-subscriber/g)?.length ?? 0),
    )
  await until(async () => (await connectionCounts()).reduce((a, b) => a + b) === 1) // the one for global channels
  const heard = await listenToAll(channels)
  const counts = await Promise.all(nodes.map(async (node) => (await node.pubsub('SHARDCHANNELS', '*')).length))
  expect(Math.min(...counts)).toBeGreaterThan(5)
  expect(counts.reduce((a, b) => a + b)).toBe(names.length)
  expect(Math.max(...(await connectionCounts()))).toBeLessThanOrEqual(2)
  await publishToAll(publisher(cluster), 'hello')
  await until(() => haveAll(heard, 'hello'))
  expect(channels.isHealthy()).toBe(true)
})

test('while one shard is away the others deliver, and its channels are told the gap', async () => {
  const cluster = await start()
  const proxies = await Promise.all(cluster.nodes.map(({ port }) => startFaultProxy({ port })))
  onTestFinished(async () => void (await Promise.all(proxies.map((proxy) => proxy.stop()))))
  const natMap = Object.fromEntries(
    cluster.nodes.map(({ port }, i) => [`127.0.0.1:${port}`, { host: '127.0.0.1', port: proxies[i]?.port as number }]),
  )
  const { channels, gaps } = connect(`redis+cluster://127.0.0.1:${proxies[0]?.port}`, { natMap })
  const direct = publisher(cluster)
  const heard = await listenToAll(channels)
  const away = proxies[1] as FaultProxy
  await away.refuse()
  await until(() => gaps.length === 1)
  await publishToAll(direct, 'meanwhile')
  const onFirst = names.filter((name) => slotOf(name) < 5461)
  await until(() => onFirst.every((name) => heard.get(name)?.includes('meanwhile')))
  expect(channels.isHealthy()).toBe(false)
  await away.heal()
  await until(() => gaps.length === 2)
  expect(gaps).toEqual(['the connection was lost', 'subscribed again'])
  await publishToAll(direct, 'after')
  await until(() => haveAll(heard, 'after'))
  expect(channels.isHealthy()).toBe(true)
})

test('a slot that moves takes its channels along, and they are told the gap', async () => {
  const cluster = await start()
  const { channels, gaps } = connect(cluster.url)
  const direct = publisher(cluster)
  const heard = await listenToAll(channels)
  const nodes = cluster.nodes.map(talkTo)
  const [name] = names as [string]
  const slot = slotOf(name)
  const source = Math.floor((slot * 3) / 16_384)
  const destination = nodes[(source + 1) % 3] as Server
  const id = (await destination.cluster('MYID')) as string
  for (const node of [destination, ...nodes.filter((other) => other !== destination)]) {
    await node.cluster('SETSLOT', slot, 'NODE', id)
  }
  await until(() => gaps.length === 2)
  expect(gaps).toEqual(['a slot has moved', 'subscribed again'])
  expect(await destination.pubsub('SHARDCHANNELS', name)).toEqual([name])
  await publishToAll(direct, 'after')
  await until(() => haveAll(heard, 'after'))
  for (const messages of heard.values()) expect(messages).toEqual(['after']) // once each
})

test('after a failover the channels are on the promoted replica', { timeout: 90_000 }, async () => {
  const cluster = await start({ nodeTimeoutMs: 1000 })
  const [first] = cluster.nodes as [RedisCluster['nodes'][number]]
  const replica = await addReplica(cluster)
  const { channels, gaps } = connect(cluster.url)
  const direct = publisher(cluster)
  const heard = await listenToAll(channels)
  await first.kill('SIGKILL')
  await until(() => gaps.length === 1)
  await replica.cluster('FAILOVER', 'TAKEOVER') // the election itself is Redis' business
  await until(() => gaps.length === 2, 30_000)
  await until(async () => {
    await publishToAll(direct, 'after').catch(() => {}) // the publisher has to find the new master too
    return haveAll(heard, 'after')
  }, 30_000)
  expect(channels.isHealthy()).toBe(true)
})

test('a channel that the ACL forbids is refused to whoever subscribes it, and the others work', async () => {
  const cluster = await start()
  for (const node of cluster.nodes.map(talkTo)) {
    const rights = ['on', '>secret', 'resetchannels', '&status:{*}', '+ssubscribe', '+sunsubscribe', '+ping', '+hello']
    await node.acl('SETUSER', 'app', ...rights, '+client|setname')
  }
  const { channels, errors } = connect(cluster.url.replace('://', '://app:secret@'))
  const heard = await listenToAll(channels)
  await expect(channels.subscribe('other:{1}', () => {})).rejects.toMatchObject({ message: /^NOPERM/ })
  expect(errors.map(({ message }) => message.slice(0, 6))).toEqual(['NOPERM'])
  await publishToAll(publisher(cluster), 'hello')
  await until(() => haveAll(heard, 'hello'))
  expect(channels.isHealthy()).toBe(true)
})

test('a replica does not carry channels, because its messages come over the bus', { timeout: 90_000 }, async () => {
  const cluster = await start({ nodeTimeoutMs: 1000 })
  const replica = await addReplica(cluster)
  const { channels } = connect(`redis+cluster://127.0.0.1:${replica.options.port}`)
  const heard = await listenToAll(channels)
  await until(() => channels.isHealthy())
  expect(await replica.pubsub('SHARDCHANNELS', '*')).toEqual([])
  await publishToAll(publisher(cluster), 'hello')
  await until(() => haveAll(heard, 'hello'))

  // A master that has become a replica keeps the subscriptions, and no connection ends.
  await replica.cluster('FAILOVER', 'TAKEOVER')
  const [first] = cluster.nodes.map(talkTo) as [Server]
  await until(async () => (await first.info('replication')).includes('role:slave'))
  await until(async () => channels.isHealthy() && (await first.pubsub('SHARDCHANNELS', '*')).length === 0)
  expect((await replica.pubsub('SHARDCHANNELS', '*')).length).toBeGreaterThan(5)
})

test('the listener of a gap may unsubscribe channels of the same node', { timeout: 90_000 }, async () => {
  const cluster = await start({ nodeTimeoutMs: 1000 })
  const replica = await addReplica(cluster)
  const { channels } = connect(cluster.url)
  const onFirst = names.filter((name) => slotOf(name) < 5461)
  const [kept, ...others] = onFirst.toReversed() as [string, ...string[]]
  const leaves: (() => Promise<void>)[] = []
  for (const name of others) leaves.push(await channels.subscribe(name, () => {}))
  const heard: string[] = []
  await channels.subscribe(kept, (message) => heard.push(message))
  channels.onGap(() => {
    for (const leave of leaves.splice(0)) void leave()
  })
  await replica.cluster('FAILOVER', 'TAKEOVER')
  await until(() => leaves.length === 0)
  const direct = publisher(cluster)
  await until(async () => {
    await direct.spublish(kept, 'after').catch(() => {})
    return heard.includes('after')
  }, 30_000)
  expect(await replica.pubsub('SHARDCHANNELS', '*')).toEqual([kept])
})

test('one node in the URL is enough, also when that node is replaced', { timeout: 90_000 }, async () => {
  const cluster = await start({ nodeTimeoutMs: 1000 })
  const [first] = cluster.nodes as [RedisCluster['nodes'][number]]
  await addReplica(cluster)
  const { subscriber, channels } = connect(`redis+cluster://127.0.0.1:${first.port}`)
  const name = names.find((one) => slotOf(one) < 5461) as string // on the first node
  const heard: string[] = []
  await channels.subscribe(name, (message) => heard.push(message))
  await subscriber.subscribe('global', (message) => heard.push(message))
  expect([subscriber.isHealthy(), channels.isHealthy()]).toEqual([true, true])
  await first.kill('SIGKILL')
  await until(() => !subscriber.isHealthy() && !channels.isHealthy())
  await until(() => subscriber.isHealthy() && channels.isHealthy(), 60_000)
  const direct = publisher(cluster)
  await until(async () => {
    await Promise.allSettled([direct.spublish(name, 'sharded'), direct.publish('global', 'global')])
    return heard.includes('sharded') && heard.includes('global')
  })
})

test('closing leaves no connection behind, whatever is subscribed', async () => {
  const cluster = await start()
  const { subscriber, channels } = connect(cluster.url)
  await listenToAll(channels)
  await subscriber.close()
  for (const node of cluster.nodes.map(talkTo)) {
    await until(async () => !String(await node.client('LIST')).includes('name=test-subscriber'))
  }
})

/** Of the first node. Resolves once it has everything and everybody knows it. */
async function addReplica(cluster: RedisCluster): Promise<Server> {
  const server = await startRedis({
    config: { 'cluster-enabled': 'yes', 'cluster-node-timeout': '1000', 'cluster-announce-ip': '127.0.0.1' },
  })
  onTestFinished(() => server.stop())
  const replica = talkTo(server)
  const [first, ...others] = cluster.nodes.map(talkTo) as [Server, ...Server[]]
  const masterId = (await first.cluster('MYID')) as string
  for (const { port } of cluster.nodes) await replica.cluster('MEET', '127.0.0.1', port)
  await until(async () => (await replica.cluster('REPLICATE', masterId).catch(() => '')) === 'OK')
  await until(async () => (await replica.info('replication')).includes('master_link_status:up'), 30_000)
  for (const node of [first, ...others]) {
    await until(async () => String(await node.cluster('NODES')).includes(`slave ${masterId}`))
  }
  return replica
}
async function until(condition: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const deadlineMs = performance.now() + withinMs
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${condition}`)
    await sleep(20)
  }
}
