import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis as PlainRedis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { aclFile } from '../../acl/acl.ts'
import { closeRedis, connectRedis, type Redis, whenReady } from '../../connection/connection.ts'
import { damagedTexts, plant, someTimeUs, typesExcept } from '../../damage.fixture.ts'
import { MAX_TIMER_MS } from '../../number-options.ts'
import { createLeakyQueue, type LeakyQueue, type LeakyQueueOptions, leakyQueueKeys, type Reservation } from './queue.ts'
import { waitUntil } from './wait.ts'
import type { WorkerReport, WorkerSetup } from './worker.fixture.ts'

/** No slot comes while a test runs, however slow the machine is. */
const slow = { count: 10, periodMs: 6_000_000 }
const INTERVAL_MS = 600_000

function queueOn(redis: Redis, namespace: string, options: Partial<LeakyQueueOptions> = {}) {
  const keys = leakyQueueKeys(namespace, 'test', 'state')
  const all = { keys, limit: slow, capacity: 3, onUnavailable: 'closed', deadlineMs: 20_000, ...options } as const
  return { keys, queue: createLeakyQueue(redis, all) }
}

/** Uses the first slot, and resolves when a run for each signal has a slot behind it. */
async function startWaits({ reserve, run }: LeakyQueue, signals: AbortSignal[]) {
  await reserve('a')
  const waiting = signals.map((signal) => run('a', async () => 'too late', { signal }))
  await expect
    .poll(async () => (await reserve('a', { maxDelayMs: 0 })).resetAfterMs, { timeout: 15_000 })
    .toBeGreaterThan(signals.length * INTERVAL_MS)
  return waiting
}

describe.each(['standalone', 'cluster', 'acl user'] as const)('a leaky queue on Redis, %s', async (topology) => {
  const server = topology === 'acl user' ? await withUser() : await testRedis({ topology })
  let redis: Redis
  const fresh = (options: Partial<LeakyQueueOptions> = {}) => queueOn(redis, server.namespace(), options)

  beforeAll(async () => {
    redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 20_000 })
    await whenReady(redis, 10_000)
  })
  afterAll(() => closeRedis(redis))

  test('calls get slots an interval apart, and when the queue is full the next is refused with the time to wait', async () => {
    const { queue } = fresh()
    const taken: Reservation[] = []
    for (let i = 0; i < 4; i++) taken.push(await queue.reserve('a'))
    expect(taken.map(({ allowed, remaining, degraded }) => [allowed, remaining, degraded])).toEqual([
      [true, 3, false],
      [true, 2, false],
      [true, 1, false],
      [true, 0, false],
    ])
    // The delay counts from the server's time of each reservation, and these pass within seconds.
    const slots = taken.map(({ delayMs }) => Math.round(delayMs / INTERVAL_MS))
    expect(slots).toEqual([0, 1, 2, 3])
    expect(taken[0]?.delayMs).toBe(0)
    const refused = await queue.reserve('a')
    expect(refused).toMatchObject({ allowed: false, remaining: 0, delayMs: 0, limitCount: 10 })
    expect(refused.retryAfterMs).toBeGreaterThan(INTERVAL_MS - 60_000)
    expect(refused.retryAfterMs).toBeLessThanOrEqual(INTERVAL_MS)
    expect(refused.resetAfterMs).toBeLessThanOrEqual(4 * INTERVAL_MS)
    expect((await queue.reserve('b')).delayMs).toBe(0)
  })

  test('each reservation is reported, also one of a run and one that is refused', async () => {
    const reported: [allowed: boolean, delayMs: number][] = []
    const onReserved = (reservation: Reservation, durationMs: number) => {
      expect(durationMs).toBeGreaterThan(0)
      reported.push([reservation.allowed, Math.round(reservation.delayMs / INTERVAL_MS)])
    }
    const { queue } = fresh({ capacity: 1, onReserved })
    await queue.run('a', async () => {})
    for (let i = 0; i < 2; i++) await queue.reserve('a')
    expect(reported).toEqual([
      [true, 0],
      [true, 1],
      [false, 0],
    ])
  })

  test('a call with a cost takes as many intervals', async () => {
    const { queue } = fresh()
    expect(await queue.reserve('a', { cost: 3 })).toMatchObject({ allowed: true, delayMs: 0, remaining: 1 })
    expect(Math.round((await queue.reserve('a')).delayMs / INTERVAL_MS)).toBe(3)
  })

  test('a cost above the count of a period never fits, and takes nothing', async () => {
    const { queue, keys } = fresh()
    expect(await queue.reserve('a', { cost: 11 })).toMatchObject({ allowed: false, retryAfterMs: -1 })
    expect(await queue.run('a', async () => 'never', { cost: 11 })).toMatchObject({
      status: 'refused',
      retryAfterMs: -1,
    })
    expect(await redis.exists(keys.key('a'))).toBe(0)
  })

  test('a caller that cannot wait so long is refused, and told when it can', async () => {
    const { queue } = fresh()
    await queue.reserve('a')
    const refused = await queue.reserve('a', { maxDelayMs: 1_000 })
    expect(refused).toMatchObject({ allowed: false, remaining: 0 })
    expect(refused.retryAfterMs).toBeGreaterThan(INTERVAL_MS - 61_000)
    expect(refused.retryAfterMs).toBeLessThanOrEqual(INTERVAL_MS - 1_000)
    expect((await queue.reserve('a')).allowed).toBe(true)
  })

  test('a call that waits as it was told has a place', async () => {
    const { queue } = fresh({ limit: { count: 20, periodMs: 1_000 }, capacity: 2 })
    for (let i = 0; i < 5; i++) {
      let answer = await queue.reserve('a')
      while (answer.allowed) answer = await queue.reserve('a')
      await waitUntil(performance.now() + answer.retryAfterMs)
      expect((await queue.reserve('a')).allowed).toBe(true)
    }
  })

  test('work begins in the order of its reservations, not before its slot', async () => {
    const { queue } = fresh({ limit: { count: 50, periodMs: 1_000 }, capacity: 9 })
    const [startS, startUs] = await redis.time()
    const begun: { call: number; atUs: number }[] = []
    const calls = Array.from({ length: 10 }, (_, call) =>
      queue.run('a', async () => {
        const [seconds, micros] = await redis.time()
        begun.push({ call, atUs: (Number(seconds) - Number(startS)) * 1e6 + Number(micros) - Number(startUs) })
        return call
      }),
    )
    const ran = await Promise.all(calls)
    expect(ran.map((one) => one.status === 'done' && one.value)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(begun.map(({ call }) => call)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    for (const { call, atUs } of begun) expect(atUs).toBeGreaterThanOrEqual(call * 20_000)
  })

  test('an aborted wait gives the last slot back', async () => {
    const { queue } = fresh()
    const abort = new AbortController()
    const [waiting] = await startWaits(queue, [abort.signal])
    abort.abort(new Error('the caller left'))
    await expect(waiting).rejects.toThrow('the caller left')
    expect(Math.round((await queue.reserve('a')).delayMs / INTERVAL_MS)).toBe(1)
  })

  test('waits that are aborted together give all their slots back, in whatever order they abort', async () => {
    const { queue } = fresh({ capacity: 50 })
    const aborts = Array.from({ length: 48 }, () => new AbortController())
    const waiting = await startWaits(
      queue,
      aborts.map(({ signal }) => signal),
    )
    for (const abort of aborts) abort.abort(new Error('the process stops'))
    await Promise.all(waiting.map((one) => expect(one).rejects.toThrow('the process stops')))
    expect(Math.round((await queue.reserve('a')).delayMs / INTERVAL_MS)).toBe(1)
  })

  test('an aborted slot with another one behind it stays empty: no slot moves', async () => {
    const { queue } = fresh()
    const abort = new AbortController()
    const [waiting] = await startWaits(queue, [abort.signal])
    expect(Math.round((await queue.reserve('a')).delayMs / INTERVAL_MS)).toBe(2)
    abort.abort(new Error('the caller left'))
    await expect(waiting).rejects.toThrow('the caller left')
    expect(Math.round((await queue.reserve('a')).delayMs / INTERVAL_MS)).toBe(3)
  })

  test('a signal that has aborted before reserves nothing', async () => {
    const { queue, keys } = fresh()
    await expect(queue.run('a', async () => 1, { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no')
    expect(await redis.exists(keys.key('a'))).toBe(0)
  })

  test('a failure of the work is the caller’s, and its slot stays used', async () => {
    const { queue } = fresh()
    await expect(queue.run('a', () => Promise.reject(new Error('declined')))).rejects.toThrow('declined')
    expect((await queue.reserve('a')).delayMs).toBeGreaterThan(0)
  })

  test('bad costs and waits reject', async () => {
    const { queue } = fresh()
    for (const cost of [0, -1, 1.5, Number.NaN]) await expect(queue.reserve('a', { cost })).rejects.toThrow('cost')
    for (const maxDelayMs of [-1, Number.NaN])
      await expect(queue.reserve('a', { maxDelayMs })).rejects.toThrow('maxDelayMs')
  })
})

describe('keys that the queue did not write', async () => {
  const server = await testRedis()
  const setUp = async () => {
    const redis = connectRedis(server.url, { name: 'damage', commandTimeoutMs: 20_000 })
    onTestFinished(() => closeRedis(redis))
    const { queue, keys } = queueOn(redis, server.namespace())
    return { queue, key: keys.key('a'), plain: server.connect() }
  }

  test.each(typesExcept('string'))('a %s in the place of the schedule is replaced', async (type) => {
    const { queue, key, plain } = await setUp()
    await plant(plain, key, type)
    expect(await queue.reserve('a')).toMatchObject({ allowed: true, delayMs: 0, degraded: false })
    expect(await plain.pttl(key)).toBeGreaterThan(0)
  })

  test('whatever text is in the place of the schedule, no wait is longer than a full queue, and the key expires', async () => {
    const { queue, key, plain } = await setUp()
    for (const { text, where } of damagedTexts(200, someTimeUs)) {
      await plain.set(key, text)
      const found = await queue.reserve('a')
      expect(found.delayMs, where).toBeLessThanOrEqual(3 * INTERVAL_MS)
      expect(found.retryAfterMs, where).toBeLessThanOrEqual(10 * INTERVAL_MS)
      if (!found.allowed) continue
      expect(await plain.pttl(key), where).toBeGreaterThan(0)
    }
  })

  test('a schedule without expiry expires again after the next reservation', async () => {
    const { queue, key, plain } = await setUp()
    await queue.reserve('a')
    await plain.persist(key)
    expect((await queue.reserve('a')).allowed).toBe(true)
    expect(await plain.pttl(key)).toBeGreaterThan(0)
  })
})

describe('several processes', async () => {
  const server = await testRedis()
  const plain = server.connect()

  test('never release a call before its slot: one per interval at most, and the count per period', async () => {
    const setup = { limit: { count: 50, periodMs: 1_000 }, capacity: 39, calls: 10 }
    const workers = await startWorkers(4, { ...setup, redisUrl: server.url, namespace: server.namespace() })
    const [seconds, micros] = await plain.time()
    const startUs = Number(seconds) * 1e6 + Number(micros)
    const reports = await Promise.all(workers.map(({ work }) => work()))
    expect(reports.map(({ refusedCount }) => refusedCount)).toEqual([0, 0, 0, 0])
    const releasedUs = reports.flatMap((report) => report.releasedUs).toSorted((a, b) => a - b)
    expect(releasedUs).toHaveLength(40)
    // A busy machine releases late, and never early: slot n begins n intervals after the first one or later.
    for (const [n, atUs] of releasedUs.entries())
      expect(atUs - startUs, `release ${n}`).toBeGreaterThanOrEqual(n * 20_000)
  })

  test('control: processes that space their calls each by itself release calls before the slots of a common schedule', async () => {
    const setup = { limit: { count: 5, periodMs: 1_000 }, capacity: 39, calls: 4, isAlone: true }
    const workers = await startWorkers(4, { ...setup, redisUrl: server.url, namespace: server.namespace() })
    const [seconds, micros] = await plain.time()
    const startUs = Number(seconds) * 1e6 + Number(micros)
    const reports = await Promise.all(workers.map(({ work }) => work()))
    const releasedUs = reports.flatMap((report) => report.releasedUs).toSorted((a, b) => a - b)
    expect(releasedUs.some((atUs, n) => atUs - startUs < n * 200_000)).toBe(true)
  })

  test('a process that dies while it waits leaves its slots empty, and nothing else', async () => {
    const namespace = server.namespace()
    const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 20_000 })
    onTestFinished(() => closeRedis(redis))
    const { queue, keys } = queueOn(redis, namespace)
    const setup = { limit: slow, capacity: 3, calls: 3, redisUrl: server.url, namespace }
    const [worker] = await startWorkers(1, setup)
    worker?.child.send('work')
    const isReserved = async () => (await plain.pttl(keys.key('a'))) > 2 * INTERVAL_MS
    await expect.poll(isReserved, { timeout: 15_000 }).toBe(true)
    worker?.child.kill('SIGKILL')
    await once(worker?.child as ChildProcess, 'exit')
    expect(Math.round((await queue.reserve('a')).delayMs / INTERVAL_MS)).toBe(3)
    expect((await queue.reserve('a')).allowed).toBe(false)
    expect((await plain.scan(0, 'MATCH', `${namespace}:*`, 'COUNT', 10_000))[1]).toEqual([keys.key('a')])
  })
})

describe('without Redis', () => {
  const away = (options: Partial<LeakyQueueOptions>) => {
    const redis = connectRedis('redis://127.0.0.1:1', { name: 'test', commandTimeoutMs: 50 })
    onTestFinished(() => closeRedis(redis))
    const errors: unknown[] = []
    return { errors, queue: queueOn(redis, 't', { onDegraded: (error) => errors.push(error), ...options }).queue }
  }

  test('open works at once', async () => {
    const { queue, errors } = away({ onUnavailable: 'open' })
    expect(await queue.run('a', async () => 'worked')).toEqual({ status: 'done', value: 'worked', delayMs: 0 })
    expect(await queue.reserve('a')).toMatchObject({ allowed: true, delayMs: 0, degraded: true })
    expect(errors).toHaveLength(2)
  })

  test('closed refuses, and tells when to come back', async () => {
    const { queue, errors } = away({ onUnavailable: 'closed' })
    const refused = { status: 'refused', retryAfterMs: 1_000, degraded: true }
    expect(await queue.run('a', async () => 'worked')).toEqual(refused)
    expect(errors).toHaveLength(1)
  })

  test('local spaces the calls of this process at its share of the rate, and lets none wait longer', async () => {
    const { queue, errors } = away({ onUnavailable: 'local', instances: () => 2, capacity: 4 })
    const slots: (number | string)[] = []
    for (let i = 0; i < 4; i++) {
      const { allowed, delayMs, degraded } = await queue.reserve('a')
      expect(degraded).toBe(true)
      slots.push(allowed ? Math.round(delayMs / INTERVAL_MS) : 'refused')
    }
    expect(slots).toEqual([0, 2, 4, 'refused'])
    expect((await queue.reserve('b')).delayMs).toBe(0)
    expect(errors).toHaveLength(5)
  })
})

test('a wait longer than any timer ends when it is due, and not at once', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
  let isOver = false
  const waiting = waitUntil(performance.now() + 2.5 * MAX_TIMER_MS).then(() => {
    isOver = true
  })
  await vi.advanceTimersByTimeAsync(2.5 * MAX_TIMER_MS - 1)
  expect(isOver).toBe(false)
  await vi.advanceTimersByTimeAsync(2)
  expect(isOver).toBe(true)
  await waiting
})

test('a queue that its key family has no room for, or a rate that cannot be kept, is refused at the start', () => {
  const none = {} as Redis
  expect(() => queueOn(none, 't', { capacity: 200 })).toThrow(/longer than .* may live/)
  expect(() => queueOn(none, 't', { limit: { count: 0, periodMs: 1_000 } })).toThrow('limit.count')
  expect(() => queueOn(none, 't', { limit: { count: 700_001, periodMs: 1_000 } })).toThrow('too fast')
})

/** A server where the service's user may use the keys of its queue and no others. */
async function withUser() {
  const namespace = 'queue-test'
  const password = 'for-this-test-only'
  const keys = leakyQueueKeys(namespace, 'test', 'state')
  const server = await startRedis({
    username: 'admin',
    password,
    acl: `${aclFile('state', [keys], { [namespace]: password })}user admin on >${password} allkeys allchannels allcommands\n`,
  })
  afterAll(server.stop)
  const admin = new PlainRedis(server.url)
  afterAll(() => admin.disconnect())
  beforeEach(() => admin.del(keys.key('a'), keys.key('b')))
  return { url: `redis://${namespace}:${password}@127.0.0.1:${server.port}`, namespace: () => namespace }
}

const startWorkers = (count: number, setup: WorkerSetup) =>
  Promise.all(Array.from({ length: count }, () => startWorker(setup)))

async function startWorker(setup: WorkerSetup) {
  const child = fork(fileURLToPath(new URL('./worker.fixture.ts', import.meta.url)), [JSON.stringify(setup)], {
    execArgv: [],
  })
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  })
  await once(child, 'message') // it is connected
  return {
    child,
    async work(): Promise<WorkerReport> {
      child.send('work')
      const [report] = await once(child, 'message')
      return report
    },
  }
}
