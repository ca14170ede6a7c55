/** What only happens in a Cluster: one node of several is away, slots move, a replica takes over. */

import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { type RedisCluster, type RedisServer, startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Cluster, Command, Redis as Server } from 'ioredis'
import { afterEach, describe, expect, test } from 'vitest'
import { isRedisOutage, OutcomeUnknown, RedisUnavailable } from '../../errors.ts'
import { closeRedis, connectRedis, pendingOn, type Redis, type RedisOptions, whenReady } from '../connection.ts'
import { unlessOnItsWay } from '../on-its-way.fixture.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(options?: Parameters<typeof startCluster>[0]): Promise<RedisCluster> {
  const cluster = await startCluster(options)
  cleanups.push(() => cluster.stop())
  return cluster
}
/** Long enough for what works to be done in it on a busy machine: what does not work costs it, and all bounds are multiples of it. */
const DEADLINE_MS = 1000

async function connect(url: string, options?: Partial<RedisOptions>): Promise<Redis> {
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: DEADLINE_MS, ...options })
  cleanups.push(() => closeRedis(redis))
  await whenReady(redis, 5000)
  return redis
}
/** Commands for one node, and no other. */
function talkTo(node: RedisServer): Server {
  const direct = new Server(node.port, { retryStrategy: () => 100 })
  direct.on('error', () => {})
  cleanups.push(() => direct.disconnect())
  return direct
}
/** A proxy before each node, and the client's way around what the nodes announce. */
async function proxied(cluster: RedisCluster) {
  const proxies = await Promise.all(cluster.nodes.map(({ port }) => startFaultProxy({ port })))
  for (const proxy of proxies) cleanups.push(() => proxy.stop())
  const natMap = Object.fromEntries(
    cluster.nodes.map(({ port }, i) => [`127.0.0.1:${port}`, { host: '127.0.0.1', port: proxies[i]?.port as number }]),
  )
  return { proxies, natMap, url: `redis+cluster://${proxies.map(({ port }) => `127.0.0.1:${port}`).join(',')}` }
}
const outcomeOf = (promise: Promise<unknown>) => promise.catch((error: Error) => error)
const outcomesOf = (promises: Promise<unknown>[]) => Promise.all(promises.map(outcomeOf))
async function until(condition: () => boolean | Promise<boolean>, withinMs = 15_000): Promise<void> {
  const deadlineMs = performance.now() + withinMs
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${condition}`)
    await sleep(20)
  }
}

describe('while one node of three is away', () => {
  const faults = {
    refused: (proxy: FaultProxy) => proxy.refuse(),
    'in a black hole': (proxy: FaultProxy) => proxy.blackHole(),
  }
  test.each(Object.keys(faults) as (keyof typeof faults)[])(
    '(%s) commands for the others do not notice',
    async (fault) => {
      const cluster = await start()
      const { proxies, natMap, url } = await proxied(cluster)
      const redis = await connect(url, { natMap })
      const keys = Array.from({ length: 60 }, (_, i) => `key:${i}`)
      await Promise.all(keys.map((key) => redis.set(key, '1')))
      const nodes = cluster.nodes.map(talkTo)
      const away = proxies[0] as FaultProxy
      const onNode = await outcomesOf(keys.map((key) => (nodes[0] as Server).get(key)))
      const lost = keys.filter((_, i) => !(onNode[i] instanceof Error))
      const kept = keys.filter((_, i) => onNode[i] instanceof Error)
      expect(lost.length).toBeGreaterThan(5)

      await faults[fault](away)
      for (let round = 0; round < 10; round++) {
        const startedMs = performance.now()
        const failing = outcomesOf(lost.map((key) => redis.get(key)))
        expect(await Promise.all(kept.map((key) => redis.get(key)))).toEqual(kept.map(() => '1'))
        expect(performance.now() - startedMs).toBeLessThan(DEADLINE_MS / 2)
        for (const outcome of await failing) expect(isRedisOutage(outcome)).toBe(true)
      }
      await away.heal()
      const healedMs = performance.now()
      await until(async () => (await outcomesOf(keys.map((key) => redis.get(key)))).every((outcome) => outcome === '1'))
      expect(performance.now() - healedMs).toBeLessThan(5000)
      expect(pendingOn(redis).count).toBe(0)
    },
  )
})

test('a crowd of commands for a node that was given up, while the others are away, costs no more than each of them', async () => {
  const cluster = await start()
  const { proxies, natMap, url } = await proxied(cluster)
  const redis = (await connect(url, { natMap })) as Cluster
  const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`)
  await Promise.all(keys.map((key) => redis.get(key)))
  await Promise.all(proxies.map((proxy) => proxy.refuse()))
  redis.nodes()[0]?.disconnect() // as after too many attempts
  await until(() => redis.nodes().every(({ status }) => status === 'reconnecting') && redis.nodes().length === 2)
  const startedMs = performance.now()
  for (const outcome of await outcomesOf(keys.map((key) => redis.get(key)))) expect(isRedisOutage(outcome)).toBe(true)
  expect(performance.now() - startedMs).toBeLessThan(2 * DEADLINE_MS)
  await Promise.all(proxies.map((proxy) => proxy.heal()))
  await until(async () => (await outcomesOf(keys.map((key) => redis.get(key)))).every((outcome) => outcome === null))
})

test('pipelines for a node that was given up never mix up the answers of others', async () => {
  const cluster = await start()
  const { proxies, natMap, url } = await proxied(cluster)
  const redis = (await connect(url, { natMap })) as Cluster
  const keys = Array.from({ length: 90 }, (_, i) => `key:${i}`)
  await Promise.all(keys.map((key) => redis.set(key, key)))
  const isOn = (index: number) => {
    const port = proxies[index]?.port
    return (key: string) => redis.slots[new Command('get', [key]).getSlot()]?.[0] === `127.0.0.1:${port}`
  }
  const [lost, kept] = [keys.filter(isOn(0)), keys.filter(isOn(2))]
  await Promise.all([proxies[0]?.refuse(), proxies[1]?.refuse()])
  redis
    .nodes()
    .find(({ options }) => options.port === proxies[0]?.port)
    ?.disconnect()
  // ioredis sends each command of such a pipeline to a node of its own choice: the whole of it must go to one.
  for (let round = 0; round < 20; round++) {
    const pipelines = lost.map((key) => outcomeOf(redis.pipeline().get(key).get(key).get(key).exec()))
    const answers = await outcomesOf(kept.map((key) => redis.get(key)))
    expect(answers).toEqual(kept)
    for (const results of (await Promise.all(pipelines)) as [unknown, unknown][][]) {
      for (const [error] of results) expect(error).toBeInstanceOf(Error)
    }
  }
  await Promise.all(proxies.map((proxy) => proxy.heal()))
  await until(async () => (await outcomesOf(keys.map((key) => redis.get(key)))).every((value, i) => value === keys[i]))
})

describe('while a slot moves', () => {
  async function startMove(options?: Partial<RedisOptions>) {
    const cluster = await start()
    const [source, destination] = cluster.nodes.map(talkTo) as [Server, Server]
    const redis = await connect(cluster.url, options)
    const slot = 12 // on the first node
    const [from, to] = (await Promise.all([source, destination].map((node) => node.cluster('MYID')))) as [
      string,
      string,
    ]
    const key = await keyIn(source, slot)
    await destination.cluster('SETSLOT', slot, 'IMPORTING', from)
    await source.cluster('SETSLOT', slot, 'MIGRATING', to)
    return { cluster, source, destination, redis, slot, to, key }
  }
  async function keyIn(node: Server, slot: number): Promise<string> {
    for (let i = 0; ; i++) if ((await node.cluster('KEYSLOT', `k${i}`)) === slot) return `k${i}`
  }

  test('ASK is followed, and the command executed once', async () => {
    const { redis, key, destination } = await startMove()
    expect(await redis.incr(key)).toBe(1) // not on the source (any more): the destination is asked
    expect(await redis.incr(key)).toBe(2)
    expect(await redis.pipeline().incr(key).incr(key).exec()).toEqual([
      [null, 3],
      [null, 4],
    ])
    expect(await destination.dbsize()).toBe(1)
  })

  test('MOVED is followed once the slot has gone, and the command executed once', async () => {
    const { cluster, redis, key, slot, to } = await startMove()
    await redis.incr(key)
    for (const node of cluster.nodes) await talkTo(node).cluster('SETSLOT', slot, 'NODE', to)
    expect(await redis.incr(key)).toBe(2)
    expect(await redis.multi().incr(key).incr(key).exec()).toEqual([
      [null, 3],
      [null, 4],
    ])
  })

  /** One of two keys is here and the other there: TRYAGAIN, for as long as the move takes. */
  async function splitKeys(key: string, redis: Redis): Promise<[here: string, there: string]> {
    await redis.incr(key)
    return [`{${key}}:other`, key]
  }

  /** The move goes on a moment later: the rest of the keys, then the slot. */
  async function finishMove(move: Awaited<ReturnType<typeof startMove>>, keys: string[]): Promise<void> {
    const { cluster, source, slot, to } = move
    const target = cluster.nodes[1] as RedisServer
    await source.call('MIGRATE', '127.0.0.1', target.port, '', 0, 5000, 'REPLACE', 'KEYS', ...keys)
    for (const node of cluster.nodes) await talkTo(node).cluster('SETSLOT', slot, 'NODE', to)
  }
  /** `{key}:here` stays on the old node, and `{key}:there` has moved already: each holds its name. */
  async function startSplitMove() {
    const move = await startMove({ commandTimeoutMs: 3000 })
    const [here, there] = [`{${move.key}}:here`, `{${move.key}}:there`]
    await move.redis.set(there, there) // not on the old node, so it is asked of the new one
    await move.source.cluster('SETSLOT', move.slot, 'STABLE')
    await move.source.set(here, here)
    await move.source.cluster('SETSLOT', move.slot, 'MIGRATING', move.to)
    return { ...move, here, there }
  }

  const multiKeyCalls: Record<string, (redis: Redis, here: string, there: string) => Promise<unknown>> = {
    'a read': (redis, ...keys) => redis.mget(...keys),
    'a script': (redis, ...keys) => redis.eval("return redis.call('mget', KEYS[1], KEYS[2])", 2, ...keys),
    'a read in a pipeline': async (redis, ...keys) => {
      const results = await redis
        .pipeline()
        .get(keys[0])
        .mget(...keys)
        .exec()
      const [error, values] = results?.[1] ?? []
      if (error) throw error
      return values
    },
    'a transaction': async (redis, ...keys) =>
      (
        await redis
          .multi()
          .mget(...keys)
          .exec()
      )?.[0]?.[1],
  }
  test.each(Object.keys(multiKeyCalls))(
    '%s of two keys, one here and one there, waits for the move within its deadline',
    async (name) => {
      const move = await startSplitMove()
      const { redis, here, there } = move
      const call = multiKeyCalls[name] as (typeof multiKeyCalls)[string]
      const outcome = outcomeOf(call(redis, here, there))
      expect(await Promise.race([outcome, sleep(300, 'waiting')])).toBe('waiting')
      await finishMove(move, [here])
      expect(await outcome).toEqual([here, there])
    },
  )

  test.each([...Object.keys(multiKeyCalls), 'a write'])(
    '%s of two keys fails typed when the move does not end',
    async (name) => {
      const { cluster, here, there } = await startSplitMove()
      const redis = await connect(cluster.url, { commandTimeoutMs: 500 })
      const calls: typeof multiKeyCalls = { ...multiKeyCalls, 'a write': () => redis.mset(here, 'a', there, 'b') }
      const startedMs = performance.now()
      const call = () => outcomeOf((calls[name] as (typeof multiKeyCalls)[string])(redis, here, there))
      // The deadline may also pass while an attempt is on its way.
      const outcome = await unlessOnItsWay(call)
      expect(outcome).toBeInstanceOf(RedisUnavailable)
      expect(String(outcome)).toContain('TRYAGAIN')
      expect(performance.now() - startedMs).toBeLessThan(20_000)
    },
  )

  test('a pipeline reads and writes each key where it is, and nothing of it twice', async () => {
    const { redis, here, there, source, destination } = await startSplitMove()
    const counts = [`${here}:count`, `${there}:count`] as [string, string]
    await source.cluster('SETSLOT', 12, 'STABLE')
    await source.set(counts[0], 10)
    const nodeId = (await destination.cluster('MYID')) as string
    await source.cluster('SETSLOT', 12, 'MIGRATING', nodeId)
    const read = await redis.pipeline().get(here).get(there).get(here).exec()
    expect(read).toEqual([
      [null, here],
      [null, there],
      [null, here],
    ])
    const written = await redis.pipeline().incr(counts[0]).incr(counts[1]).incr(counts[0]).incr(counts[1]).exec()
    expect(written).toEqual([
      [null, 11],
      [null, 1],
      [null, 12],
      [null, 2],
    ])
    expect(await source.get(counts[0])).toBe('12')
  })

  test('a pipeline of ioredis as it comes reads nothing where there is something (negative control)', async () => {
    const { cluster, here, there } = await startSplitMove()
    const plain = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
    cleanups.push(() => plain.disconnect())
    expect(await plain.pipeline().get(here).get(there).exec()).toEqual([
      [null, null],
      [null, there],
    ])
  })

  test('a slot without a master is an outage for its keys, which ends when the slot has one again', async () => {
    const { cluster, redis, source, key, slot } = await startMove({ commandTimeoutMs: 3000 })
    await source.config('SET', 'cluster-require-full-coverage', 'no')
    for (const node of cluster.nodes) {
      await talkTo(node).cluster('SETSLOT', slot, 'STABLE')
      await talkTo(node).config('SET', 'cluster-require-full-coverage', 'no')
    }
    for (const node of cluster.nodes) await talkTo(node).cluster('DELSLOTS', slot)
    const read = outcomeOf(redis.get(key))
    expect(await outcomeOf(redis.set(key, '1'))).toMatchObject({
      name: 'RedisUnavailable',
      message: expect.stringContaining('CLUSTERDOWN'),
    })
    expect(
      await outcomeOf(
        redis
          .pipeline()
          .get(key)
          .exec()
          .then((results) => Promise.reject(results?.[0]?.[0])),
      ),
    ).toBeInstanceOf(RedisUnavailable)
    await source.cluster('ADDSLOTS', slot)
    expect(await read).toBeNull()
  })

  test('what neither node can serve fails within the deadline and is not executed later', async () => {
    const { redis, key, source, destination, slot } = await startMove()
    const [here, there] = await splitKeys(key, redis)
    const outcome = await outcomeOf(redis.mset(here, 'a', there, 'b'))
    // Unknown, when the deadline is over while an attempt is on its way.
    expect(outcome instanceof RedisUnavailable || outcome instanceof OutcomeUnknown, String(outcome)).toBe(true)
    for (const node of [source, destination]) await node.cluster('SETSLOT', slot, 'STABLE')
    await sleep(300)
    expect(await source.get(here)).toBeNull()
  })

  test('it is executed later by ioredis as it comes (negative control)', async () => {
    const { cluster, redis, key, source, destination, slot } = await startMove()
    const [here, there] = await splitKeys(key, redis)
    const nodes = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
    const plain = new Cluster(nodes, { redisOptions: { commandTimeout: 300 } })
    cleanups.push(() => plain.disconnect())
    await new Promise((resolve) => plain.once('ready', resolve))
    expect(await outcomeOf(plain.mset(here, 'a', there, 'b'))).toMatchObject({ message: 'Command timed out' })
    for (const node of [source, destination]) await node.cluster('SETSLOT', slot, 'STABLE')
    await until(async () => (await source.get(here)) === 'a')
  })
})

test('a frozen master costs its commands their deadline, and its replica is used once it is promoted', {
  timeout: 90_000,
}, async () => {
  const cluster = await start({ nodeTimeoutMs: 1000, config: { 'repl-diskless-sync-delay': '0' } })
  const [first] = cluster.nodes as [RedisServer]
  const replica = await addReplica(cluster, first)
  const redis = await connect(cluster.url)
  const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`)
  await Promise.all(keys.map((key) => redis.set(key, '1')))
  expect(await talkTo(first).wait(1, 5000)).toBe(1) // or the promoted replica knows nothing of them

  await first.kill('SIGSTOP')
  cleanups.push(() => first.kill('SIGCONT'))
  let isPromoted = false
  // The election itself is Redis' business, and takes its time on a busy machine.
  void until(async () => (await replica.info('replication')).includes('role:master'), 45_000).then(() => {
    isPromoted = true
  })
  while (!isPromoted) {
    const startedMs = performance.now()
    await outcomesOf(keys.map((key) => redis.incr(key)))
    expect(performance.now() - startedMs).toBeLessThan(2 * DEADLINE_MS)
  }
  const promotedMs = performance.now()
  await until(async () => (await outcomesOf(keys.map((key) => redis.get(key)))).every((o) => typeof o === 'string'))
  expect(performance.now() - promotedMs).toBeLessThan(5000)
})

/** Resolves once everybody knows it, and it knows everything: before, it would not be elected. */
async function addReplica(cluster: RedisCluster, master: RedisServer): Promise<Server> {
  const server = await startRedis({
    config: { 'cluster-enabled': 'yes', 'cluster-node-timeout': '1000', 'cluster-announce-ip': '127.0.0.1' },
  })
  cleanups.push(() => server.stop())
  const replica = talkTo(server)
  const masterId = (await talkTo(master).cluster('MYID')) as string
  for (const node of cluster.nodes) await replica.cluster('MEET', '127.0.0.1', node.port)
  await until(async () => (await outcomeOf(replica.cluster('REPLICATE', masterId))) === 'OK')
  await until(async () => (await replica.info('replication')).includes('master_link_status:up'))
  await until(async () => String(await replica.cluster('INFO')).includes('cluster_state:ok'))
  for (const node of cluster.nodes.map(talkTo)) {
    await until(async () => String(await node.cluster('NODES')).includes(`slave ${masterId}`))
  }
  return replica
}

describe('while every node is away', () => {
  test('pipelines settle within the deadline too, before the first look at the slots as well as after', async () => {
    const cluster = await start()
    const { proxies, natMap, url } = await proxied(cluster)
    await Promise.all(proxies.map((proxy) => proxy.blackHole()))
    const redis = connectRedis(url, { name: 'test', commandTimeoutMs: DEADLINE_MS, natMap })
    cleanups.push(() => closeRedis(redis))
    const startedMs = performance.now()
    expect(await outcomeOf(redis.pipeline().incr('a').exec())).toBeInstanceOf(RedisUnavailable)
    expect(await outcomeOf(redis.multi().incr('a').exec())).toBeInstanceOf(RedisUnavailable)
    expect(performance.now() - startedMs).toBeLessThan(3 * DEADLINE_MS)
    await Promise.all(proxies.map((proxy) => proxy.heal()))
    await whenReady(redis, 5000)
    expect(await redis.incr('a')).toBe(1)
  })

  test('and comes back after a restart of all, the Cluster is used again', async () => {
    const cluster = await start({ nodeTimeoutMs: 1000 })
    const redis = await connect(cluster.url)
    const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`)
    await Promise.all(keys.map((key) => redis.set(key, '1')))
    await Promise.all(cluster.nodes.map((node) => node.kill('SIGKILL')))
    await until(async () => (await outcomeOf(redis.get('key:1'))) instanceof RedisUnavailable)
    await sleep(1000)
    await Promise.all(cluster.nodes.map((node) => node.restart()))
    const observers = cluster.nodes.map(talkTo)
    await until(async () => {
      const infos = await Promise.all(observers.map((node) => outcomeOf(node.cluster('INFO'))))
      return infos.every((info) => String(info).includes('cluster_state:ok'))
    })
    const restartedMs = performance.now()
    await until(async () => (await outcomesOf(keys.map((key) => redis.get(key)))).every((o) => o === null))
    expect(performance.now() - restartedMs).toBeLessThan(5000)
  })

  test('a Cluster of one node recovers from a black hole', async () => {
    const cluster = await start({ masters: 1 })
    const { proxies, natMap, url } = await proxied(cluster)
    const [proxy] = proxies as [FaultProxy]
    const redis = await connect(url, { natMap })
    expect(await redis.incr('a')).toBe(1)
    proxy.blackHole()
    expect(await outcomeOf(redis.incr('a'))).toBeInstanceOf(OutcomeUnknown)
    await sleep(4000)
    await proxy.heal()
    const healedMs = performance.now()
    await until(async () => (await outcomeOf(redis.get('a'))) === '1')
    expect(performance.now() - healedMs).toBeLessThan(5000)
  })
})
