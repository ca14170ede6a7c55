import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { PostgresNotConnected } from '../storage/postgres-errors.ts'
import { createHealth, type Probe, prismaProbe, redisProbe } from './health.ts'

const ok = (name: string, required = true): Probe => ({ name, required, check: async () => {} })
const failing = (name: string, required: boolean, error: unknown = new Error('at redis://x:secret@h')): Probe => ({
  name,
  required,
  check: () => Promise.reject(error),
})
const hanging = (name: string, timeoutMs = 1_000): Probe => ({
  name,
  required: true,
  timeoutMs,
  check: () => new Promise(() => {}),
})

describe('the verdict', () => {
  test('with all probes well it is ready', async () => {
    expect(await createHealth([ok('a'), ok('b', false)]).ready()).toMatchObject({ status: 'ready' })
  })
  test('without an optional dependency it is degraded', async () => {
    expect(await createHealth([ok('a'), failing('b', false)]).ready()).toMatchObject({ status: 'degraded' })
  })
  test('without a required dependency it is unready', async () => {
    expect(await createHealth([failing('a', true), failing('b', false)]).ready()).toMatchObject({ status: 'unready' })
  })
  test('with nothing to ask it is ready', async () => {
    expect(await createHealth().ready()).toEqual({ status: 'ready', checks: [] })
  })
  test('once it stops it is unready, without asking', async () => {
    const check = vi.fn(async () => {})
    const health = createHealth([{ name: 'a', required: true, check }])
    health.stop()
    expect(await health.ready()).toMatchObject({ status: 'unready', checks: [{ name: 'process', error: 'STOPPING' }] })
    expect(check).not.toHaveBeenCalled()
  })
})

test('a missing session of Postgres is reported by the reason of the refusal', async () => {
  const refused = Object.assign(new Error('password authentication failed'), { code: '28P01' })
  const health = createHealth([failing('postgres', true, new PostgresNotConnected(refused))])
  expect(await health.ready()).toMatchObject({ checks: [{ error: '28P01' }] })
})

test('a failure is told by its code and never by its message', async () => {
  const health = createHealth([
    failing('coded', true, Object.assign(new Error('redis://x:secret@h'), { code: 'REDIS_UNAVAILABLE' })),
    failing('plain', true),
    failing('odd', true, { code: 'redis://x:secret@h' }),
    failing('nothing', true, undefined),
  ])
  const { checks } = await health.ready()
  expect(checks.map(({ error }) => error)).toEqual(['REDIS_UNAVAILABLE', 'FAILED', 'FAILED', 'FAILED'])
  expect(JSON.stringify(checks)).not.toContain('secret')
})

test('a probe that throws at once is a failed probe', async () => {
  const check = () => {
    throw new Error('not even a promise')
  }
  expect(await createHealth([{ name: 'a', required: true, check }]).ready()).toMatchObject({ status: 'unready' })
})

test('probes run side by side, each with its own deadline and a signal that tells it', async () => {
  let aborted = false
  const told: Probe = {
    name: 'told',
    required: true,
    timeoutMs: 50,
    check: (signal) =>
      new Promise(() =>
        signal.addEventListener('abort', () => {
          aborted = true
        }),
      ),
  }
  const startedAtMs = performance.now()
  const { checks } = await createHealth([hanging('a', 50), hanging('b', 50), told, ok('c')]).ready()
  expect(performance.now() - startedAtMs).toBeLessThan(140)
  expect(checks.map(({ name, ok, error }) => [name, ok, error])).toEqual([
    ['a', false, 'TIMEOUT'],
    ['b', false, 'TIMEOUT'],
    ['told', false, 'TIMEOUT'],
    ['c', true, undefined],
  ])
  expect(aborted).toBe(true)
})

describe('asking often', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
  afterEach(() => void vi.useRealTimers())

  test('a thousand questions in a second are one question to the dependency', async () => {
    const check = vi.fn(async () => {})
    const health = createHealth([{ name: 'a', required: true, check }])
    await Promise.all(Array.from({ length: 500 }, () => health.ready()))
    vi.advanceTimersByTime(999)
    await Promise.all(Array.from({ length: 500 }, () => health.ready()))
    expect(check).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(1)
    await health.ready()
    expect(check).toHaveBeenCalledTimes(2)
  })

  test('a slow dependency is not asked again while it has not answered', async () => {
    const { promise, resolve: answer } = Promise.withResolvers<void>()
    const check = vi.fn(() => promise)
    const health = createHealth([{ name: 'a', required: true, check, timeoutMs: 60_000 }])
    const first = health.ready()
    vi.advanceTimersByTime(5_000)
    const second = health.ready()
    answer()
    await Promise.all([first, second])
    expect(check).toHaveBeenCalledTimes(1)
  })

  test('a probe that is added later counts at once', async () => {
    const health = createHealth([ok('a')])
    expect(await health.ready()).toMatchObject({ status: 'ready' })
    health.add(failing('registry', true))
    expect(await health.ready()).toMatchObject({ status: 'unready' })
  })
})

test('the ready-made probes ask what they are named after', async () => {
  const ping = vi.fn(async () => 'PONG')
  const query = vi.fn(async () => [{ one: 1 }])
  const health = createHealth([
    redisProbe('redis-state', { ping }, { required: true }),
    prismaProbe({ $queryRawUnsafe: query }),
  ])
  expect(await health.ready()).toMatchObject({
    status: 'ready',
    checks: [{ name: 'redis-state' }, { name: 'postgres' }],
  })
  expect(ping).toHaveBeenCalledTimes(1)
  expect(query).toHaveBeenCalledWith('SELECT 1')
})
