/**
 * What a connection promises, over one server and over a Cluster of three masters, each reached through a proxy that breaks
 * on command. A promise that plain ioredis does not keep has a negative control beside it, so that the test is known to be
 * able to fail.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Cluster, Redis as Server } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { isRedisOutage, OutcomeUnknown, RedisOverloaded, RedisUnavailable } from '../errors.ts'
import { closeRedis, connectRedis, pendingOn, type Redis, type RedisOptions, whenReady } from './connection.ts'

interface Topology {
  proxies: FaultProxy[]
  /** Behind the proxies. */
  connect(options?: Partial<RedisOptions>): Redis
  /** ioredis as it comes. */
  connectPlain(commandTimeout?: number): Redis
  /** Around the proxies: what the server really holds. */
  direct: Redis
  stop(): Promise<void>
}

const topologies: Record<string, () => Promise<Topology>> = {
  'one server': async () => {
    const server = await startRedis()
    const proxy = await startFaultProxy({ port: server.port })
    const direct = new Server(server.port)
    return {
      proxies: [proxy],
      connect: (options) => connectRedis(proxy.url, { name: 'test', ...options }),
      connectPlain: (commandTimeout) => new Server(proxy.port, { commandTimeout }),
      direct,
      stop: async () => {
        direct.disconnect()
        await proxy.stop()
        await server.stop()
      },
    }
  },
  'a Cluster': async () => {
    const cluster = await startCluster()
    const proxies = await Promise.all(cluster.nodes.map(({ port }) => startFaultProxy({ port })))
    const nodes = proxies.map(({ port }) => ({ host: '127.0.0.1', port }))
    const natMap = Object.fromEntries(cluster.nodes.map(({ port }, index) => [`127.0.0.1:${port}`, nodes[index]]))
    const url = `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`
    const direct = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
    return {
      proxies,
      connect: (options) => connectRedis(url, { name: 'test', natMap, ...options } as RedisOptions),
      connectPlain: (commandTimeout) => new Cluster(nodes, { natMap, redisOptions: { commandTimeout } } as object),
      direct,
      stop: async () => {
        direct.disconnect()
        await Promise.all(proxies.map((proxy) => proxy.stop()))
        await cluster.stop()
      },
    }
  },
}

let keyCount = 0
const newKey = () => `test:${process.pid}:${++keyCount}`

describe.each(Object.keys(topologies))('%s', (name) => {
  let topology: Topology
  const opened: Redis[] = []

  beforeAll(async () => {
    topology = await (topologies[name] as () => Promise<Topology>)()
  })
  afterEach(async () => {
    await each((proxy) => proxy.heal())
    for (const redis of opened) expect(pendingOn(redis)).toEqual({ count: 0, bytes: 0 })
    await Promise.all(opened.splice(0).map(closeRedis))
  })
  afterAll(() => topology.stop())

  const each = (act: (proxy: FaultProxy) => unknown) => Promise.all(topology.proxies.map(act))
  async function connect(options?: Partial<RedisOptions>): Promise<Redis> {
    const redis = topology.connect(options)
    opened.push(redis)
    await whenReady(redis, 5000)
    await warmUp(redis)
    return redis
  }
  async function connectPlain(commandTimeout?: number): Promise<Redis> {
    const redis = topology.connectPlain(commandTimeout)
    redis.on('error', () => {})
    opened.push(redis)
    await warmUp(redis)
    return redis
  }

  describe('a command that was reported as failed', () => {
    test('is never executed later', async () => {
      const redis = await connect({ commandTimeoutMs: 300 })
      const key = newKey()
      await each((proxy) => proxy.refuse())
      await until(async () => (await outcomeOf(redis.get(key))) instanceof RedisUnavailable) // noticed
      const outcomes = await outcomesOf([
        redis.incr(key), // waits for the connection until its deadline
        ...pipelineOf(redis, key),
        sleep(100).then(() => redis.incr(key)),
        sleep(700).then(() => redis.incr(key)), // does not even wait any more
      ])
      for (const outcome of outcomes) expect(outcome).toBeInstanceOf(RedisUnavailable)
      await each((proxy) => proxy.heal())
      await until(async () => (await outcomeOf(redis.set(key + key, '1'))) === 'OK')
      expect(await topology.direct.get(key)).toBeNull()
    })

    test('is executed later by ioredis as it comes (negative control)', async () => {
      const redis = await connectPlain(300)
      const key = newKey()
      await each((proxy) => proxy.refuse())
      if (name === 'one server') await until(() => redis.status === 'reconnecting')
      expect(await outcomeOf(redis.incr(key))).toMatchObject({ message: 'Command timed out' })
      await each((proxy) => proxy.heal())
      await until(async () => (await topology.direct.get(key)) === '1')
    })
  })

  describe('an INCR whose answer is lost', () => {
    test('settles as unknown and is applied once', async () => {
      const redis = await connect({ commandTimeoutMs: 2000 })
      const key = newKey()
      await Promise.all([cutAfter(key), expect(redis.incr(key)).rejects.toBeInstanceOf(OutcomeUnknown)])
      await until(async () => (await outcomeOf(redis.get(key))) === '1')
      expect(await topology.direct.get(key)).toBe('1')
    })

    test('is applied twice by ioredis as it comes (negative control)', async () => {
      const redis = await connectPlain()
      const key = newKey()
      await Promise.all([cutAfter(key), expect(redis.incr(key)).resolves.toBe(2)])
      expect(await topology.direct.get(key)).toBe('2')
    })

    test('is applied once inside a MULTI, and none of its commands is sent again', async () => {
      const redis = await connect({ commandTimeoutMs: 2000 })
      const key = newKey()
      const transaction = redis.multi().incr(key).incr(key).exec()
      await Promise.all([cutAfter(key), expect(transaction).rejects.toBeInstanceOf(OutcomeUnknown)])
      await until(async () => (await outcomeOf(redis.get(key))) === '2')
      expect(await topology.direct.get(key)).toBe('2')
    })

    test('is applied once inside a pipeline, whose reads say that they changed nothing', async () => {
      const redis = await connect({ commandTimeoutMs: 2000 })
      const key = newKey()
      const pipeline = redis.pipeline().incr(key).get(key).exec()
      const [, results] = await Promise.all([cutAfter(key), pipeline])
      expect(results?.map(([error]) => error?.name)).toEqual(['OutcomeUnknown', 'RedisUnavailable'])
      expect(await topology.direct.get(key)).toBe('1')
    })
  })

  test('a read whose answer is lost is asked again, within its deadline', async () => {
    const redis = await connect({ commandTimeoutMs: 3000 })
    const key = newKey()
    await topology.direct.set(key, 'value')
    await Promise.all([cutAfter(key), expect(redis.get(key)).resolves.toBe('value')])
  })

  describe('a black hole', () => {
    test('settles every command within its deadline and costs the connection', async () => {
      const redis = await connect({ commandTimeoutMs: 400 })
      const keys = Array.from({ length: 30 }, newKey)
      await each((proxy) => proxy.blackHole())
      const startedMs = performance.now()
      const writes = await outcomesOf(keys.map((key) => redis.incr(key)))
      expect(performance.now() - startedMs).toBeLessThan(800)
      for (const outcome of writes) expect(outcome).toBeInstanceOf(OutcomeUnknown)
      expect(await outcomeOf(redis.get('any'))).toBeInstanceOf(RedisUnavailable)
      expect(pendingOn(redis)).toEqual({ count: 0, bytes: 0 })

      // Without any further command: silence alone ends it.
      const before = topology.proxies.map((proxy) => proxy.counters().connectionCount)
      await until(() => topology.proxies.some((proxy, i) => proxy.counters().connectionCount > (before[i] as number)))
      await each((proxy) => proxy.heal())
      await recovers(redis, keys)
    })

    test('holds ioredis as it comes for as long as it lasts (negative control)', async () => {
      const redis = await connectPlain()
      await each((proxy) => proxy.blackHole())
      const pending = redis.incr(newKey())
      expect(await Promise.race([outcomeOf(pending), sleep(3000, 'still pending')])).toBe('still pending')
      await each((proxy) => proxy.heal())
      await outcomeOf(pending)
    })
  })

  describe('an outage', () => {
    test('is ridden out when it is shorter than the deadline', async () => {
      const redis = await connect({ commandTimeoutMs: 5000 })
      const key = newKey()
      await each((proxy) => proxy.refuse())
      // The first is written into a connection that is dead already: nobody can tell, so it is not sent again.
      expect(await outcomeOf(redis.incr(key))).toBeInstanceOf(OutcomeUnknown)
      const second = redis.incr(key)
      await sleep(300)
      await each((proxy) => proxy.heal())
      expect(await second).toBe(1)
    })

    test('fails commands at once when it lasts', async () => {
      const redis = await connect({ commandTimeoutMs: 300 })
      const keys = Array.from({ length: 50 }, newKey)
      await each((proxy) => proxy.refuse())
      await until(async () => {
        const startedMs = performance.now()
        const outcomes = await outcomesOf(keys.map((key) => redis.get(key)))
        return outcomes.every(isRedisOutage) && performance.now() - startedMs < 50
      })
      await each((proxy) => proxy.heal())
      await recovers(redis, keys)
    })

    test('ends within five seconds of its cause, for every node', async () => {
      const redis = await connect({ commandTimeoutMs: 300 })
      const keys = Array.from({ length: 50 }, newKey)
      await each((proxy) => proxy.refuse())
      await sleep(3000) // long enough for the backoff to reach its cap
      await each((proxy) => proxy.heal())
      await recovers(redis, keys)
    })

    test('does not outlast its cause for a caller that tries again at once, without a pause', async () => {
      const redis = await connect({ commandTimeoutMs: 200 })
      await each((proxy) => proxy.refuse())
      await sleep(500) // from here on commands fail at once
      setTimeout(() => void each((proxy) => proxy.heal()), 300)
      const startedMs = performance.now()
      while ((await outcomeOf(redis.get('any'))) instanceof RedisUnavailable);
      expect(performance.now() - startedMs).toBeLessThan(5000)
    })

    test('takes bounded memory, whatever is thrown at it', async () => {
      const redis = await connect({ commandTimeoutMs: 500, maxPendingCount: 1000 })
      await each((proxy) => proxy.blackHole())
      const before = heapBytes()
      let highest = 0
      const tally: Record<string, number> = {}
      for (let i = 0; i < 20_000; i++) {
        void redis.set(`key:${i}`, 'x'.repeat(1000)).catch(({ name }) => {
          tally[name] = (tally[name] ?? 0) + 1
        })
        highest = Math.max(highest, pendingOn(redis).count)
        if (i > 2000 && i % 20 === 0) await sleep(1) // the first are a burst: more than may be in flight, however slow we are
      }
      await until(() => pendingOn(redis).count === 0)
      expect(highest).toBeLessThanOrEqual(1000)
      expect(tally.RedisOverloaded).toBeGreaterThan(0)
      expect(tally.RedisUnavailable).toBeGreaterThan(0)
      expect(heapBytes() - before).toBeLessThan(10_000_000)
    })
  })

  describe('the limits', () => {
    test('refuse what is too much, by count and by bytes, and a pipeline as a whole', async () => {
      const redis = await connect({ maxPendingCount: 100, maxPendingBytes: 100_000, commandTimeoutMs: 2000 })
      await each((proxy) => proxy.delay(100))
      const key = newKey()
      const accepted = Array.from({ length: 100 }, () => redis.incr(key))
      expect(await outcomeOf(redis.incr(key))).toBeInstanceOf(RedisOverloaded)
      const pipeline = await redis.pipeline().incr(key).incr(key).exec()
      expect(pipeline?.map(([error]) => error?.name)).toEqual(['RedisOverloaded', 'RedisOverloaded'])
      expect((await outcomesOf(accepted)).at(-1)).toBe(100)

      const big = redis.set(key, 'x'.repeat(100_000))
      expect(await outcomeOf(redis.get(key))).toBeInstanceOf(RedisOverloaded)
      await each((proxy) => proxy.delay(0))
      expect(await big).toBe('OK')
      expect(await redis.strlen(key)).toBe(100_000)
    })
  })

  describe('closing', () => {
    test('lets what is in flight finish and refuses the rest', async () => {
      const redis = await connect({ commandTimeoutMs: 2000 })
      await each((proxy) => proxy.delay(100))
      const inFlight = redis.set(newKey(), '1')
      const closed = closeRedis(redis)
      expect(await outcomeOf(redis.get('any'))).toBeInstanceOf(RedisUnavailable)
      expect(await inFlight).toBe('OK')
      await closed
      await closeRedis(redis)
    })

    test('works while nothing is connected', async () => {
      await each((proxy) => proxy.refuse())
      const redis = topology.connect({ commandTimeoutMs: 300 })
      opened.push(redis)
      const waiting = outcomeOf(redis.get('any'))
      await closeRedis(redis)
      expect(await waiting).toBeInstanceOf(RedisUnavailable)
    })
  })

  describe('commands that would harm the others on a shared connection', () => {
    test('are refused', async () => {
      const redis = await connect()
      for (const call of [
        () => redis.blpop(newKey(), 1),
        () => redis.xread('BLOCK', 100, 'STREAMS', newKey(), '$'),
        () => redis.subscribe('channel'),
        () => redis.watch(newKey()),
        () => (redis as Server).multi({ pipeline: false }) as unknown as Promise<unknown>,
      ]) {
        expect(await outcomeOf(call())).toBeInstanceOf(TypeError)
      }
      expect(await redis.xread('STREAMS', newKey(), '0')).toBeNull()
    })
  })

  describe('a blocking connection', () => {
    test('waits as long as it is told to, and its answer is not lost to the deadline', async () => {
      const redis = await connect({ role: 'blocking', blockMs: 1000 })
      const key = newKey()
      expect(await redis.blpop(key, 1)).toBeNull()
      const popped = redis.blpop(key, 1)
      await sleep(100)
      await topology.direct.rpush(key, 'job')
      expect(await popped).toEqual([key, 'job'])
    })

    test('settles in a black hole', async () => {
      const redis = await connect({ role: 'blocking', blockMs: 100 })
      await each((proxy) => proxy.blackHole())
      expect(await outcomeOf(redis.blpop(newKey(), 0.1))).toBeInstanceOf(OutcomeUnknown)
    })

    test('waits out an outage instead of failing over and over', async () => {
      const redis = await connect({ role: 'blocking', blockMs: 4000 })
      await each((proxy) => proxy.refuse())
      await until(() => redis.status !== 'ready' || redis.isCluster)
      await sleep(700) // longer than a command of the other role would wait
      const popped = outcomeOf(redis.blpop(newKey(), 0.1))
      await sleep(300)
      await each((proxy) => proxy.heal())
      expect(await popped).toBeNull()
    })

    test('is closed without waiting for its block to end', async () => {
      const redis = await connect({ role: 'blocking', blockMs: 5000 })
      const popped = outcomeOf(redis.blpop(newKey(), 5))
      await sleep(50)
      const startedMs = performance.now()
      await closeRedis(redis)
      expect(await popped).toBeInstanceOf(OutcomeUnknown)
      expect(performance.now() - startedMs).toBeLessThan(1500)
    })
  })

  test('any number of callers wait for one connection, and Node takes none of them for a leak', async () => {
    const warnings: Error[] = []
    const hear = (warning: Error) => warnings.push(warning)
    process.on('warning', hear)
    const redis = topology.connect()
    opened.push(redis)
    await Promise.all(Array.from({ length: 50 }, () => whenReady(redis, 10_000)))
    process.off('warning', hear)
    expect(warnings).toEqual([])
  })

  test('whatever breaks when, a counter holds every INCR that succeeded and none that was reported as failed', async () => {
    const redis = await connect({ commandTimeoutMs: 250 })
    const keys = Array.from({ length: 12 }, newKey)
    const tally = { ok: 0, unknown: 0, unavailable: 0 }
    let isOver = false
    const callers = keys.map(async (key) => {
      while (!isOver) {
        const outcome = await outcomeOf(redis.incr(key))
        if (typeof outcome === 'number') tally.ok++
        else if (outcome instanceof OutcomeUnknown) tally.unknown++
        else if (outcome instanceof RedisUnavailable) tally.unavailable++
        else throw outcome
        await sleep(Math.random() * 3)
      }
    })
    for (let round = 0; round < 12; round++) {
      const proxy = topology.proxies[round % topology.proxies.length] as FaultProxy
      if (round % 4 === 0) void proxy.cutAfterNextRequest('incr')
      else if (round % 4 === 1) proxy.cut()
      else if (round % 4 === 2) proxy.blackHole()
      else await proxy.refuse()
      await sleep(400)
      await proxy.heal()
      await sleep(200)
    }
    isOver = true
    await Promise.all(callers)
    await recovers(redis, keys)
    const applied = (await Promise.all(keys.map((key) => topology.direct.get(key)))).map(Number).reduce((a, b) => a + b)
    expect(applied).toBeGreaterThanOrEqual(tally.ok)
    expect(applied).toBeLessThanOrEqual(tally.ok + tally.unknown)
    for (const count of Object.values(tally)) expect(count).toBeGreaterThan(0)
  })

  /** Opens the connections to all nodes, so that a fault hits what is in use. */
  async function warmUp(redis: Redis): Promise<void> {
    const keys = Array.from({ length: 30 }, (_, index) => `warm:${index}`)
    // A busy machine may be slower than the short deadline of a test.
    await until(async () => (await outcomesOf(keys.map((key) => redis.get(key)))).every((o) => !(o instanceof Error)))
  }
  /** Arms every proxy: only the node that owns the key will see it. */
  function cutAfter(key: string): Promise<unknown> {
    return Promise.race(topology.proxies.map((proxy) => proxy.cutAfterNextRequest(key)))
  }
  async function recovers(redis: Redis, keys: string[]): Promise<void> {
    const startedMs = performance.now()
    await until(async () => (await outcomesOf(keys.map((key) => redis.get(key)))).every((o) => !(o instanceof Error)))
    expect(performance.now() - startedMs).toBeLessThan(5000)
  }
})

/** The result or the error, as a value. */
function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error) => error)
}
const outcomesOf = (promises: Promise<unknown>[]) => Promise.all(promises.map(outcomeOf))

function pipelineOf(redis: Redis, key: string): Promise<unknown>[] {
  const results = redis.pipeline().incr(key).incr(key).exec()
  return [0, 1].map((index) => results.then((all) => all?.[index]?.[0]))
}

/** After a collection: what is really held. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

/** Polls, since what happens elsewhere sends no event here. The test's own timeout bounds it. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 15_000
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within 15 s: ${condition}`)
    await sleep(20)
  }
}
