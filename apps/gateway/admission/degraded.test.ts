/** The gateway's limits while one of its Redis servers fails: what clients, metrics, health and the log are told. */
import { typicalExcessMs } from '@shop/test-kit/excess'
import type { RedisServer } from '@shop/test-kit/redis-server'
import { refuseWrites } from '@shop/test-kit/refused-writes'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startGateway } from '../gateway.fixture.ts'

const patiently = { timeout: 20_000, interval: 20 }
/** The longest that the decision of a policy may take. All limits of a request share it. */
const DEADLINE_MS = 50
/** On a loaded machine any decision may be late. */
const LATE = 'RATE_LIMIT_LATE'
/** So often `typicalExcessMs` asks. */
const REQUESTS = 5

/** Resolves to the way to heal the server: one that cannot save its data does not end either. */
type Fault = (server: RedisServer) => Promise<() => Promise<void>>

const faults: Record<string, Fault> = {
  READONLY: ({ url }) => refuseWrites(url, 'READONLY'),
  NOREPLICAS: ({ url }) => refuseWrites(url, 'NOREPLICAS'),
  MISCONF: ({ url }) => refuseWrites(url, 'MISCONF'),
  /** Connections stay open, nothing answers. */
  async [LATE](server) {
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

  /** Degraded decisions since the start, by `policy decision`. */
  async function degraded(): Promise<Record<string, number>> {
    const { text } = await gateway.metrics.page()
    const series = text.matchAll(
      /^rate_limit_decisions_total\{policy="([^"]+)",decision="(\w+)",degraded="true".*\} (\d+)$/gm,
    )
    return Object.fromEntries(
      [...series].map(([, policy, decision, count]) => [`${policy} ${decision}`, Number(count)]),
    )
  }
  const before = await degraded()
  /** Those of this fault. */
  async function degradedSince(): Promise<Record<string, number>> {
    const now = Object.entries(await degraded()).map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
    return Object.fromEntries(now.filter(([, count]) => count > 0))
  }
  /** The policies of the lines, in their order, each with its reason. */
  const limitLines = () =>
    gateway.lines
      .filter(({ policy, level }) => policy !== undefined && level === 'warn')
      .map(({ policy, reason }) => ({ policy, reason }))

  /** The statuses of some requests, and how much later than the deadline they typically came. */
  async function askRepeatedly(ask: () => Promise<Response>) {
    const statuses: number[] = []
    const excessMs = await typicalExcessMs(DEADLINE_MS, async () => statuses.push((await ask()).status))
    return { statuses, excessMs }
  }
  return { gateway, browse, signIn, health, degradedSince, limitLines, askRepeatedly }
}

const limitsCheck = expect.objectContaining({
  name: 'rate-limits',
  ok: false,
  required: false,
  error: 'RATE_LIMITS_DEGRADED',
})

/** One line per policy, however many decisions. */
function expectLines(lines: { policy: unknown; reason: unknown }[], policies: string[], reason: string) {
  expect(lines.map(({ policy }) => policy).toSorted()).toEqual(policies.toSorted())
  for (const line of lines) expect([reason, LATE]).toContain(line.reason)
}

const times = (status: number) => Array.from({ length: REQUESTS }, () => status)

describe.each(Object.entries(faults))('%s', (reason, harm) => {
  test('of the cache: pages are served in time, decided by this process, counted, and logged once for each policy', async () => {
    const { gateway, browse, health, degradedSince, limitLines, askRepeatedly } = await setUp()
    onTestFinished(await harm(gateway.cache))
    const { statuses, excessMs } = await askRepeatedly(browse)
    expect(statuses).toEqual(times(200))
    expect(excessMs).toBeLessThan(DEADLINE_MS)
    expect(await degradedSince()).toEqual({ 'address allowed': REQUESTS, 'route allowed': REQUESTS })
    await vi.waitFor(async () => {
      expect(await health()).toMatchObject({ status: 'degraded', checks: expect.arrayContaining([limitsCheck]) })
    }, patiently)
    expectLines(limitLines(), ['address', 'route'], reason)
    expect(JSON.stringify(gateway.lines)).not.toContain('127.0.0.1')
  })

  test('of the state: sign-ins are limited by this process in time, counted, and logged once for each policy', async () => {
    const { gateway, signIn, health, degradedSince, limitLines, askRepeatedly } = await setUp()
    onTestFinished(await harm(gateway.state))
    const { statuses, excessMs } = await askRepeatedly(signIn)
    expect(statuses).toEqual(times(200))
    expect(excessMs).toBeLessThan(DEADLINE_MS)
    expect(await degradedSince()).toEqual({
      'sign-in-address allowed': REQUESTS,
      'sign-in-address-day allowed': REQUESTS,
      'password-route allowed': REQUESTS,
    })
    await vi.waitFor(async () => {
      expect(await health()).toMatchObject({ status: 'degraded', checks: expect.arrayContaining([limitsCheck]) })
    }, patiently)
    expectLines(limitLines(), ['sign-in-address', 'sign-in-address-day', 'password-route'], reason)
  })
})

test('full servers still decide', async () => {
  const { gateway, browse, signIn } = await setUp()
  for (const { url } of [gateway.cache, gateway.state]) onTestFinished(await refuseWrites(url, 'OOM'))
  for (const [ask, policy] of [
    [browse, '"address";r='],
    [signIn, '"sign-in-address";r='],
  ] as const) {
    await vi.waitFor(async () => {
      const { status, headers } = await ask()
      expect(status).toBe(200)
      expect(headers.get('ratelimit')).toContain(policy) // a degraded decision tells nothing of what remains
    }, patiently)
  }
})

test('a cache that was restarted decides again', async () => {
  const { gateway, browse, degradedSince, limitLines } = await setUp()
  await gateway.cache.kill('SIGKILL')
  expect((await browse()).status).toBe(200)
  expect(await degradedSince()).toEqual({ 'address allowed': 1, 'route allowed': 1 })
  await gateway.cache.restart()
  const limited = async () => (await browse()).headers.get('ratelimit')
  await vi.waitFor(async () => expect(await limited()).toContain('"address";r='), patiently)
  expect(limitLines().map(({ policy }) => policy)).toEqual(['address', 'route'])
})
