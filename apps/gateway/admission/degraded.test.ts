/** The gateway's limits while one of its Redis servers fails: what clients, metrics, health and the log are told. */
import { setTimeout as sleep } from 'node:timers/promises'
import { refuseWrites } from '@shop/service-kit/storage/refused-writes.fixture'
import type { RedisServer } from '@shop/test-kit/redis-server'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startGateway } from '../gateway.fixture.ts'

const patiently = { timeout: 20_000, interval: 20 }
/** The longest that the decision of a policy may take. All limits of a request share it. */
const DEADLINE_MS = 50
const REQUESTS = 5

/** Resolves to the way to heal the server: one that cannot save its data does not end either. */
type Fault = (server: RedisServer) => Promise<() => Promise<void>>

const faults: Record<string, Fault> = {
  READONLY: ({ url }) => refuseWrites(url, 'READONLY'),
  NOREPLICAS: ({ url }) => refuseWrites(url, 'NOREPLICAS'),
  MISCONF: ({ url }) => refuseWrites(url, 'MISCONF'),
  /** Connections stay open, nothing answers. */
  async RATE_LIMIT_LATE(server) {
    await server.kill('SIGSTOP')
    return () => server.kill('SIGCONT')
  },
}

async function setUp() {
  const gateway = await startGateway()
  onTestFinished(gateway.stop)
  const browse = () => fetch(`${gateway.url}/api/products`)
  const signIn = () =>
    fetch(`${gateway.url}/api/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'ada@example.com', password: 'correct horse battery' }),
    })
  const health = async () => (await (await fetch(`${gateway.url}/health/ready`)).json()) as { status: string }
  await vi.waitFor(async () => expect((await health()).status).toBe('ready'), patiently)
  for (const ask of [browse, signIn]) await vi.waitFor(async () => expect((await ask()).status).toBe(200), patiently)

  /** Degraded decisions, by `policy decision`, without those that are none. */
  async function degraded(): Promise<Record<string, number>> {
    const { text } = await gateway.metrics.page()
    const series = text.matchAll(
      /^rate_limit_decisions_total\{policy="([^"]+)",decision="(\w+)",degraded="true".*\} ([1-9]\d*)$/gm,
    )
    return Object.fromEntries(
      [...series].map(([, policy, decision, count]) => [`${policy} ${decision}`, Number(count)]),
    )
  }
  const limitLines = () =>
    gateway.lines
      .filter(({ policy }) => policy !== undefined)
      .map(({ level, policy, reason }) => [level, policy, reason])

  /** The statuses of some requests, and how much later than a timer of the deadline they came: the median. */
  async function askRepeatedly(ask: () => Promise<Response>) {
    const answers: { status: number; excessMs: number }[] = []
    for (let i = 0; i < REQUESTS; i++) {
      const timer = sleep(DEADLINE_MS).then(() => performance.now())
      const answer = ask().then(({ status }) => ({ status, atMs: performance.now() }))
      const [dueMs, { status, atMs }] = await Promise.all([timer, answer])
      answers.push({ status, excessMs: atMs - dueMs })
    }
    const excessesMs = answers.map(({ excessMs }) => excessMs).toSorted((a, b) => a - b)
    return { statuses: answers.map(({ status }) => status), excessMs: excessesMs[2] as number }
  }
  return { gateway, browse, signIn, health, degraded, limitLines, askRepeatedly }
}

const limitsCheck = expect.objectContaining({
  name: 'rate-limits',
  ok: false,
  required: false,
  error: 'RATE_LIMITS_DEGRADED',
})

const times = (status: number) => Array.from({ length: REQUESTS }, () => status)

describe.each(Object.entries(faults))('%s', (reason, harm) => {
  test('of the cache: pages are served in time, decided by this process, counted, and logged once for each policy', async () => {
    const { gateway, browse, health, degraded, limitLines, askRepeatedly } = await setUp()
    onTestFinished(await harm(gateway.cache))
    const { statuses, excessMs } = await askRepeatedly(browse)
    expect(statuses).toEqual(times(200))
    expect(excessMs).toBeLessThan(DEADLINE_MS)
    expect(await degraded()).toEqual({ 'address allowed': REQUESTS, 'route allowed': REQUESTS })
    await vi.waitFor(async () => {
      expect(await health()).toMatchObject({ status: 'degraded', checks: expect.arrayContaining([limitsCheck]) })
    }, patiently)
    expect(limitLines()).toEqual([
      ['warn', 'address', reason],
      ['warn', 'route', reason],
    ])
    expect(JSON.stringify(gateway.lines)).not.toContain('127.0.0.1')
  })

  test('of the state: sign-ins are refused in time, counted, and logged once for each policy', async () => {
    const { gateway, signIn, health, degraded, limitLines, askRepeatedly } = await setUp()
    onTestFinished(await harm(gateway.state))
    const { statuses, excessMs } = await askRepeatedly(signIn)
    expect(statuses.filter((status) => status < 400 || status === 500)).toEqual([])
    expect(excessMs).toBeLessThan(DEADLINE_MS)
    expect(await degraded()).toEqual({
      'sign-in-address denied': REQUESTS,
      'sign-in-address-day denied': REQUESTS,
      'password-route allowed': REQUESTS,
    })
    await vi.waitFor(async () => {
      expect(await health()).toMatchObject({ status: 'degraded', checks: expect.arrayContaining([limitsCheck]) })
    }, patiently)
    expect(limitLines()).toEqual([
      ['warn', 'sign-in-address', reason],
      ['warn', 'sign-in-address-day', reason],
      ['warn', 'password-route', reason],
    ])
  })
})

test('full servers still decide', async () => {
  const { gateway, browse, signIn, degraded, limitLines } = await setUp()
  for (const { url } of [gateway.cache, gateway.state]) onTestFinished(await refuseWrites(url, 'OOM'))
  for (const ask of [browse, signIn]) expect((await ask()).status).toBe(200)
  expect(await degraded()).toEqual({})
  expect(limitLines()).toEqual([])
})

test('a cache that was restarted decides again, and the log says so once for each policy', async () => {
  const { gateway, browse, degraded, limitLines } = await setUp()
  await gateway.cache.kill('SIGKILL')
  expect((await browse()).status).toBe(200)
  expect(await degraded()).toEqual({ 'address allowed': 1, 'route allowed': 1 })
  await gateway.cache.restart()
  const limited = async () => (await browse()).headers.get('ratelimit')
  await vi.waitFor(async () => expect(await limited()).toMatch(/^"address";r=200;t=1/), patiently)
  expect(limitLines().map(([level, policy]) => [level, policy])).toEqual([
    ['warn', 'address'],
    ['warn', 'route'],
  ])
})
