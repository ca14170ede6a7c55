/** Each algorithm, and the queue, while Redis is away, refuses, is full, restarts or forgets its scripts. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { typicalExcessMs } from '@shop/test-kit/excess'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { type RedisOptions, startRedis } from '@shop/test-kit/redis-server'
import { refusalWords, refuseWrites } from '@shop/test-kit/refused-writes'
import { Redis as Plain } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { errorReply, greet, startWireServer } from '../connection/wire-server.fixture.ts'
import { isRedisOutage } from '../errors.ts'
import { ALGORITHMS } from './algorithms.ts'
import { createLeakyQueue, leakyQueueKeys } from './queue/queue.ts'
import { createRateLimit, rateLimitKeys } from './rate-limit.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** Nothing comes back while a test runs. */
const LIMIT = { count: 5, periodMs: DAY_MS }
const PATIENT_MS = 20_000

const modes = ['open', 'closed', 'local'] as const
type Mode = (typeof modes)[number]
/** Of this many, without Redis. */
const MANY = 100
const admittedWithoutRedis = { open: MANY, closed: 0, local: LIMIT.count }

interface Limiter {
  /** No denial is remembered: Redis is asked each time. */
  decide(id: string): Promise<{ allowed: boolean; degraded: boolean }>
  /** Why decisions were degraded, one for each. */
  reasons: unknown[]
}
interface Options {
  onUnavailable: Mode
  /** @default the limiter's own: 50 */
  deadlineMs?: number
}
type Make = (redis: Redis, options: Options) => Limiter

const limiters: [name: string, make: Make][] = [
  ...ALGORITHMS.map((algorithm): [string, Make] => [
    algorithm,
    (redis, options) => {
      const keys = rateLimitKeys(`test-${randomUUID()}`, 'fault', 'state', { algorithm })
      const reasons: unknown[] = []
      const onDegraded = (error: unknown) => reasons.push(error)
      const all = { keys, algorithm, limit: LIMIT, maxKnownDenialMs: 0, onDegraded, ...options }
      const { check } = createRateLimit(redis, all)
      return { reasons, decide: (id) => check(id) }
    },
  ]),
  [
    'queue',
    (redis, options) => {
      const keys = leakyQueueKeys(`test-${randomUUID()}`, 'fault', 'state', { maxBacklogMs: 3 * DAY_MS })
      const reasons: unknown[] = []
      const onDegraded = (error: unknown) => reasons.push(error)
      const { reserve } = createLeakyQueue(redis, { keys, limit: LIMIT, capacity: 4, onDegraded, ...options })
      return { reasons, decide: (id) => reserve(id) }
    },
  ],
]
const everyLimiter = modes.flatMap((onUnavailable) => limiters.map(([name, make]) => ({ name, onUnavailable, make })))

async function startServer(options?: RedisOptions) {
  const server = await startRedis(options)
  onTestFinished(server.stop)
  const direct = new Plain(server.url)
  direct.on('error', () => {})
  onTestFinished(() => direct.disconnect())
  return { server, direct }
}
async function connect(url: string, commandTimeoutMs = PATIENT_MS) {
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}

const decideMany = (limiter: Limiter, id: string, times = MANY) =>
  Promise.all(Array.from({ length: times }, () => limiter.decide(id)))
const admittedOf = (decisions: { allowed: boolean }[]) => decisions.filter(({ allowed }) => allowed).length
const degradedOf = (decisions: { degraded: boolean }[]) => decisions.filter(({ degraded }) => degraded).length

/** Redis decides again, for an id that was not decided before. */
async function expectSound({ decide, reasons }: Limiter) {
  await expect.poll(async () => (await decide('probe')).degraded, { timeout: 15_000 }).toBe(false)
  const degradedCount = reasons.length
  const decisions = await decideMany({ decide, reasons }, 'afterwards', 8)
  expect([admittedOf(decisions), degradedOf(decisions)]).toEqual([LIMIT.count, 0])
  expect(reasons).toHaveLength(degradedCount)
}

describe('a black hole', () => {
  test.each(everyLimiter)('$name that fails $onUnavailable decides at its deadline of 50 ms', async (limiter) => {
    const { server } = await startServer()
    const proxy = await startFaultProxy({ port: server.port })
    onTestFinished(proxy.stop)
    const redis = await connect(proxy.url, 1_000)
    const { decide, reasons } = limiter.make(redis, { onUnavailable: limiter.onUnavailable })
    await expect.poll(async () => (await decide('warm up')).degraded, { timeout: 15_000 }).toBe(false)
    reasons.length = 0
    proxy.blackHole()
    const decisions = await decideMany({ decide, reasons }, 'a')
    expect(admittedOf(decisions)).toBe(admittedWithoutRedis[limiter.onUnavailable])
    expect(degradedOf(decisions)).toBe(MANY)
    // Its own deadline has decided each time, neither an answer nor the timeout of the connection.
    expect(reasons.map((error) => (error as { code?: string }).code)).toEqual(Array(MANY).fill('RATE_LIMIT_LATE'))
    expect(await typicalExcessMs(50, () => decide('b'))).toBeLessThan(50)
    expect(reasons).toHaveLength(MANY + 5)
    await proxy.heal() // the connection closes at once
  })
})

/** As servers say it. */
const replies = [
  'LOADING Redis is loading the dataset in memory',
  'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  "READONLY You can't write against a read only replica.",
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'CLUSTERDOWN The cluster is down',
  'TRYAGAIN Multiple keys request during rehashing of slot',
  'MOVED 866 127.0.0.1:1',
  'ASK 866 127.0.0.1:1',
  "OOM command not allowed when used memory > 'maxmemory'.",
  'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
  'NOREPLICAS Not enough good replicas to write.',
  'NOAUTH Authentication required.',
  'ERR max number of clients reached',
  "ERR user_script:31: OOM command not allowed when used memory > 'maxmemory'.",
]

describe('a server that refuses', () => {
  test.each(replies)('by %s makes each decision a degraded one, and no error', async (reply) => {
    const server = await startWireServer((args) => greet(args) ?? errorReply(reply))
    const redis = await connect(`redis://127.0.0.1:${server.port}`, 1_000)
    const decideAll = async ({ name, onUnavailable, make }: (typeof everyLimiter)[number]) => {
      const limiter = make(redis, { onUnavailable, deadlineMs: PATIENT_MS })
      const decisions = await decideMany(limiter, 'a', 8)
      const admitted = { open: 8, closed: 0, local: LIMIT.count }[onUnavailable]
      expect([admittedOf(decisions), degradedOf(decisions)], `${name}, ${onUnavailable}`).toEqual([admitted, 8])
      expect(limiter.reasons.map(isRedisOutage)).toEqual(Array(8).fill(true)) // not by the limiter's deadline
    }
    await Promise.all(everyLimiter.map(decideAll))
  })

  test('by a reply that speaks of the command makes a decision an error: a mistake has to be seen', async () => {
    const reply = errorReply('ERR unknown command')
    const server = await startWireServer((args) => greet(args) ?? reply)
    const redis = await connect(`redis://127.0.0.1:${server.port}`, 1_000)
    for (const { onUnavailable, make } of everyLimiter) {
      const { decide, reasons } = make(redis, { onUnavailable, deadlineMs: PATIENT_MS })
      await expect(decide('a')).rejects.toThrow('unknown command')
      expect(reasons).toEqual([])
    }
  })

  const refusals = refusalWords.filter((word) => word !== 'OOM') // the scripts are allowed to write then
  test.each(refusals)(
    'writes, a real one by %s, makes each decision a degraded one, until it accepts them again',
    async (word) => {
      const { server } = await startServer()
      const redis = await connect(server.url, 1_000)
      const heal = await refuseWrites(server.url, word)
      const all = everyLimiter.map(({ onUnavailable, make }) => ({
        onUnavailable,
        limiter: make(redis, { onUnavailable, deadlineMs: PATIENT_MS }),
      }))
      for (const { onUnavailable, limiter } of all) {
        const decisions = await decideMany(limiter, 'a')
        expect([admittedOf(decisions), degradedOf(decisions)]).toEqual([admittedWithoutRedis[onUnavailable], MANY])
        expect(limiter.reasons).toHaveLength(MANY)
        expect(limiter.reasons.every((error) => String(error).includes(word))).toBe(true)
      }
      await heal()
      for (const { limiter } of all) await expectSound(limiter)
    },
  )
})

test.each(limiters)('%s keeps its limit exactly on a server that is full and evicts nothing', async (_, make) => {
  const { server, direct } = await startServer({ config: { maxmemory: '3mb', 'maxmemory-policy': 'noeviction' } })
  const fill = async () => {
    for (let n = 0; ; n++) await direct.set(`fill:${n}`, 'x'.repeat(10_000))
  }
  await expect(fill()).rejects.toThrow('OOM')
  const limiter = make(await connect(server.url), { onUnavailable: 'closed', deadlineMs: PATIENT_MS })
  for (const id of ['a', 'b', 'c']) {
    const decisions = await decideMany(limiter, id)
    expect([admittedOf(decisions), degradedOf(decisions)]).toEqual([LIMIT.count, 0])
  }
  expect(limiter.reasons).toEqual([])
  await expect(direct.set('more', 'x')).rejects.toThrow('OOM')
})

test.each(limiters)(
  '%s decides while Redis restarts, counts what was degraded, and then Redis decides',
  async (_, make) => {
    const { server } = await startServer()
    const limiter = make(await connect(server.url, 1_000), { onUnavailable: 'local', deadlineMs: PATIENT_MS })
    const counts = { decided: 0, degraded: 0 }
    const decide = async (id: string) => {
      const decision = await limiter.decide(id)
      counts.decided += 1
      if (decision.degraded) counts.degraded += 1
      return decision
    }
    const isDegraded = async () => (await decide('probe')).degraded
    await expect.poll(isDegraded, { timeout: 15_000 }).toBe(false)
    const load = { isOn: true }
    const ask = async () => {
      while (load.isOn) {
        await decide(`load-${counts.decided % 7}`)
        await sleep(1) // a lost connection fails at once, and the restart needs this thread
      }
    }
    const asking = Array.from({ length: 4 }, ask)
    await server.kill('SIGKILL')
    const before = counts.degraded
    await expect.poll(() => counts.degraded - before, { timeout: 15_000 }).toBeGreaterThan(10)
    await server.restart()
    await expect.poll(isDegraded, { timeout: 15_000 }).toBe(false)
    load.isOn = false
    await Promise.all(asking)
    expect(limiter.reasons).toHaveLength(counts.degraded)
    await expectSound(limiter)
  },
)

test.each(limiters)('%s keeps its limit exactly while the scripts are forgotten again and again', async (_, make) => {
  const { server, direct } = await startServer()
  const limiter = make(await connect(server.url), { onUnavailable: 'closed', deadlineMs: PATIENT_MS })
  const flushing = { isOn: true, count: 0 }
  const flush = async () => {
    while (flushing.isOn) {
      await direct.script('FLUSH')
      flushing.count += 1
    }
  }
  const flushes = flush()
  for (let round = 0; round < 20; round++) {
    const decisions = await decideMany(limiter, `id-${round}`, 50)
    expect([admittedOf(decisions), degradedOf(decisions)]).toEqual([LIMIT.count, 0])
  }
  flushing.isOn = false
  await flushes
  expect(flushing.count).toBeGreaterThan(20)
  expect(limiter.reasons).toEqual([])
})
