/** The experiments on real servers: each number comes out, a planted wrong limiter is found, and nothing is left behind. */
import { randomUUID } from 'node:crypto'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../../connection/connection.ts'
import { isRedisOutage } from '../../errors.ts'
import { createContenders, type LabContender } from './contenders.ts'
import { EXPERIMENTS, experimentOf } from './experiments.ts'
import { type Burst, labKeys, runBursts, runOnce } from './lab.ts'

const server = await testRedis()
const cluster = await testRedis({ topology: 'cluster' })
const patience = { timeout: 60_000 }

async function connect(url: string): Promise<Redis> {
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 10_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}

async function keysOf(namespace: string): Promise<string[]> {
  const [, keys] = await server.connect().scan(0, 'MATCH', `${namespace}:*`, 'COUNT', 1_000_000)
  return keys
}

/** The numbers of outcome.test.ts, unless the machine was late: then every decision is right all the same. */
function expectRight(burst: Burst) {
  expect(burst.rows.map(({ algorithm, deviations }) => ({ algorithm, deviations }))).toEqual(
    burst.rows.map(({ algorithm }) => ({ algorithm, deviations: [] })),
  )
  expect(burst.hasComeOut).toBe(true)
  if (!burst.isOnTime) return
  const counts = (key: 'admittedCount' | 'mostPerPeriod') => burst.rows.map((row) => row[key])
  expect(counts('admittedCount')).toEqual(burst.rows.map(({ expected }) => expected.onTimeCount))
  if (burst.experiment === 'double') return // longer than a second: see outcome.test.ts
  expect(counts('mostPerPeriod')).toEqual(burst.rows.map(({ expected }) => expected.onTimeMostPerPeriod))
}

describe('on a server', () => {
  test.each(EXPERIMENTS)('$title: every decision is right', patience, async ({ name, offsetsMs }) => {
    const redis = await connect(server.url)
    const namespace = server.namespace()
    const sent: number[] = []
    const burst = await runBursts(redis, {
      experiment: name,
      keys: labKeys(namespace),
      onProgress: ({ attempt, sentCount }) => void (attempt === 1 && sent.push(sentCount)),
    })
    expectRight(burst)
    expect(burst.sentMs).toHaveLength(offsetsMs.length)
    expect(sent).toHaveLength(10)
    expect(JSON.parse(JSON.stringify(burst))).toEqual(burst)
    expect(await keysOf(namespace)).toEqual([])
    for (const { admittedMs, admittedCount, per10Ms, cumulative } of burst.rows) {
      expect(admittedMs).toHaveLength(admittedCount)
      expect(cumulative.at(-1)).toBe(per10Ms.reduce((sum, count) => sum + count))
    }
  })
})

test('in a Cluster the clock is that of the node that decides', patience, async () => {
  const redis = await connect(cluster.url)
  expectRight(await runBursts(redis, { experiment: 'edge', keys: labKeys(cluster.namespace()) }))
})

test('a Redis user of the lab alone needs these commands, and no key beside lab:*', patience, async () => {
  const commands =
    'ping hello info eval evalsha time del get set hmget hset pexpire zadd zcount zrange zremrangebyscore'
  const allowed = commands.split(' ').map((command) => `+${command}`)
  const own = await startRedis({
    acl: `user default off\nuser lab on >secret ~lab:* ${allowed.join(' ')}\n`,
    username: 'lab',
    password: 'secret',
  })
  onTestFinished(() => own.stop())
  expectRight(await runBursts(await connect(own.url), { experiment: 'edge', keys: labKeys('lab') }))
})

describe('a planted limiter', () => {
  /** One attempt with one contender replaced. */
  async function runWith(name: LabContender['name'], plant: (redis: Redis, key: string) => LabContender['ask']) {
    const redis = await connect(server.url)
    const contenders = createContenders(redis, labKeys(server.namespace()), randomUUID()).map((contender) =>
      contender.name === name ? { ...contender, ask: plant(redis, contender.key) } : contender,
    )
    const { signal } = new AbortController()
    const burst = await runOnce(redis, { experiment: experimentOf('edge'), contenders, signal, attempt: 1 })
    const wrong = burst.rows.filter(({ hasComeOut }) => !hasComeOut).map(({ algorithm }) => algorithm)
    return { burst, wrong, row: burst.rows.find(({ algorithm }) => algorithm === name) }
  }

  test("the textbook's bucket with the callers' clocks, of two hosts a minute apart, is found", patience, async () => {
    const { burst, wrong, row } = await runWith('token-bucket', textbookBucket)
    expect(wrong).toEqual(['token-bucket'])
    expect(burst.hasComeOut).toBe(false)
    expect(row?.admittedCount).toBeGreaterThan(100)
  })

  test('a fixed window that begins with the first request, and not at the edge, is found', patience, async () => {
    const { wrong, row } = await runWith('fixed-window', unalignedWindow)
    expect(wrong).toEqual(['fixed-window'])
    expect(row?.admittedCount).toBe(20)
  })

  test('a contender that rejects ends the run with its error', patience, async () => {
    await expect(runWith('gcra', () => () => Promise.reject(new Error('planted')))).rejects.toThrow('planted')
  })
})

/** redis.io's token bucket: the caller's clock, whole intervals only, a write on denial too. */
function textbookBucket(redis: Redis, key: string): LabContender['ask'] {
  const source = `local b = redis.call('HMGET', KEYS[1], 'tokens', 'at')
    local now, tokens, at = tonumber(ARGV[1]), tonumber(b[1]) or 20, tonumber(b[2]) or tonumber(ARGV[1])
    local intervals = math.floor((now - at) / 50)
    if intervals > 0 then tokens = math.min(20, tokens + intervals) end
    local allowed = 0
    if tokens >= 1 then allowed = 1; tokens = tokens - 1 end
    redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
    redis.call('PEXPIRE', KEYS[1], 60000)
    return allowed`
  let asked = 0
  return async () => {
    asked += 1
    const skewMs = asked % 2 === 0 ? 60_000 : 0
    return { isAdmitted: (await redis.eval(source, 1, key, Date.now() + skewMs)) === 1, delayMs: 0 }
  }
}

function unalignedWindow(redis: Redis, key: string): LabContender['ask'] {
  const source = `local count = redis.call('INCR', KEYS[1])
    if count == 1 then redis.call('PEXPIRE', KEYS[1], 1000) end
    return count`
  return async () => ({ isAdmitted: Number(await redis.eval(source, 1, key)) <= 20, delayMs: 0 })
}

describe('a run that cannot go on', () => {
  test('an unknown experiment is refused by name', async () => {
    const redis = await connect(server.url)
    const keys = labKeys(server.namespace())
    // @ts-expect-error the name comes from a page
    await expect(runBursts(redis, { experiment: 'everything', keys })).rejects.toThrow(
      'experiment must be one of edge, double, at-once, not "everything"',
    )
  })

  test(
    'its keys expire within five minutes; an aborted run deletes them and rejects with the reason',
    patience,
    async () => {
      const redis = await connect(server.url)
      const plain = server.connect()
      const namespace = server.namespace()
      const controller = new AbortController()
      let lives: number[] = []
      const running = runBursts(redis, {
        experiment: 'double',
        keys: labKeys(namespace),
        signal: controller.signal,
        onProgress: ({ sentCount }) =>
          void (sentCount === 20 && look().then(() => controller.abort(new Error('enough')))),
      })
      await expect(running).rejects.toThrow('enough')
      expect(lives.length).toBeGreaterThan(0)
      expect(lives.filter((ms) => ms === -1 || ms > 5 * 60_000)).toEqual([])
      expect(await keysOf(namespace)).toEqual([])

      async function look() {
        lives = await Promise.all((await keysOf(namespace)).map((key) => plain.pttl(key)))
      }
    },
  )

  test('without Redis it rejects with the error of the outage', patience, async () => {
    const proxy = await startFaultProxy({ port: Number(new URL(server.url).port) })
    onTestFinished(() => proxy.stop())
    const redis = connectRedis(proxy.via(server.url), { name: 'test', commandTimeoutMs: 1_000 })
    onTestFinished(() => closeRedis(redis))
    await whenReady(redis, 10_000)
    const onProgress = () => void proxy.refuse()
    const running = runBursts(redis, { experiment: 'double', keys: labKeys(server.namespace()), onProgress })
    await expect(running).rejects.toSatisfy(isRedisOutage)
  })
})
