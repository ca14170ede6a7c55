import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { RedisUnavailable } from '@shop/redis-kit/errors'
import { createRateLimit, type RateLimitOptions, rateLimitKeys } from '@shop/redis-kit/rate-limit'
import { createLeakyQueue, type LeakyQueueOptions, leakyQueueKeys } from '@shop/redis-kit/rate-limit/queue'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { createHealth } from '../process/health.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { watchRateLimits } from './rate-limit-metrics.ts'
import { seriesValue } from './series.fixture.ts'

const server = await testRedis()
const readOnly = Object.assign(new Error("READONLY You can't write against a read only replica."), {
  name: 'ReplyError',
})

async function setUp() {
  const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 9_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 9_000)
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const metrics = createMetrics({ service: 'gateway', instanceId: 'gateway-1' })
  const log = createLog({ service: 'gateway', instanceId: 'gateway-1', destination })
  const clock = { ms: 5_000_000 }
  const outage = { isOn: false }
  const limits = watchRateLimits({ log, metrics, nowMs: () => clock.ms })
  const health = createHealth([limits.probe], { cacheMs: 0 })
  const namespace = server.namespace()

  function build(policy: string, options: Partial<RateLimitOptions> = {}) {
    const limit = createRateLimit(redis, {
      keys: rateLimitKeys(namespace, policy, 'cache'),
      limit: { count: 3, periodMs: 600_000 },
      burst: 3,
      onUnavailable: 'open',
      maxKnownDenialMs: 600_000,
      deadlineMs: 9_000,
      onDegraded: limits.onDegraded(policy),
      breaker: {
        run: (work) => (outage.isOn ? Promise.reject(new RedisUnavailable('refused', { cause: readOnly })) : work()),
      },
      ...options,
    })
    return limits.watch(policy, limit)
  }
  function queueOf(policy: string, options: Partial<LeakyQueueOptions> = {}) {
    return createLeakyQueue(outage.isOn ? away() : redis, {
      keys: leakyQueueKeys(namespace, policy, 'state'),
      limit: { count: 3, periodMs: 600_000 },
      capacity: 10,
      onUnavailable: 'open',
      deadlineMs: 9_000,
      ...limits.queueOptions(policy),
      ...options,
    })
  }
  const value = (name: string, labels: Record<string, string>) => seriesValue(metrics, name, labels)
  const decided = (policy: string, decision: 'allowed' | 'denied', degraded = false) =>
    value('rate_limit_decisions_total', { policy, decision, degraded: String(degraded) })
  const observed = (policy: string) => value('rate_limit_duration_seconds_count', { policy })
  return { build, queueOf, limits, clock, outage, health, lines, value, decided, observed, metrics }
}

/** A server that is not there. */
function away() {
  const redis = connectRedis('redis://127.0.0.1:1', { name: 'test', commandTimeoutMs: 100 })
  onTestFinished(() => closeRedis(redis))
  return redis
}

const logged = (lines: Record<string, unknown>[]) =>
  lines.map(({ level, policy, degradedCount, reason, msg }) => ({ level, policy, degradedCount, reason, msg }))

const degradedLine = (policy: string, degradedCount: number) => ({
  level: 'warn',
  policy,
  degradedCount,
  reason: 'READONLY',
  msg: 'rate limit degraded: decided without Redis',
})
const restoredLine = (policy: string, degradedCount: number) => ({
  level: 'info',
  policy,
  degradedCount,
  reason: undefined,
  msg: 'rate limit restored: decided by Redis',
})

test('decisions are counted for each policy, and those that asked Redis are timed', async () => {
  const { build, decided, observed } = await setUp()
  const [address, session] = [build('address'), build('session')]
  for (let i = 0; i < 5; i++) await address.check('a')
  await session.check('a')
  expect(await decided('address', 'allowed')).toBe(3)
  expect(await decided('address', 'denied')).toBe(2)
  expect(await decided('session', 'allowed')).toBe(1)
  expect(await decided('session', 'denied')).toBe(0)
  expect(await decided('session', 'denied', true)).toBe(0)
  // The fifth was a known denial.
  expect(await observed('address')).toBe(4)
  expect(await observed('session')).toBe(1)
})

test('a known denial is counted also when it is looked up on its own', async () => {
  const { build, decided, observed } = await setUp()
  const address = build('address')
  expect(address.knownDenial('a')).toBeUndefined()
  for (let i = 0; i < 4; i++) await address.check('a')
  for (let i = 0; i < 100; i++) expect(address.knownDenial('a')?.allowed).toBe(false)
  expect(await decided('address', 'denied')).toBe(101)
  expect(await observed('address')).toBe(4)
})

test('limits of one name are counted together', async () => {
  const { build, decided } = await setUp()
  await build('address').check('a')
  await build('address').check('b')
  expect(await decided('address', 'allowed')).toBe(2)
})

test('the watched limit has the policy, the refund and the errors of the limit', async () => {
  const { build, decided } = await setUp()
  const address = build('address')
  expect(address.policy).toMatchObject({ count: 3, periodMs: 600_000, burst: 3 })
  const { charge } = await address.check('a', 3)
  expect(charge && (await address.refund('a', charge))).toBe(true)
  expect((await address.check('a', 3)).allowed).toBe(true)
  await expect(address.check('a', 0)).rejects.toThrow(RangeError)
  expect(await decided('address', 'allowed')).toBe(2)
})

test('degraded decisions are counted apart, by what the policy says without Redis', async () => {
  const { build, outage, decided } = await setUp()
  const [open, closed, local] = [
    build('open'),
    build('closed', { onUnavailable: 'closed' }),
    build('local', { onUnavailable: 'local' }),
  ]
  outage.isOn = true
  for (const limit of [open, closed, local]) for (let i = 0; i < 4; i++) await limit.check('a')
  expect([await decided('open', 'allowed', true), await decided('open', 'denied', true)]).toEqual([4, 0])
  expect([await decided('closed', 'allowed', true), await decided('closed', 'denied', true)]).toEqual([0, 4])
  expect([await decided('local', 'allowed', true), await decided('local', 'denied', true)]).toEqual([3, 1])
  expect(await decided('open', 'allowed')).toBe(0)
})

test('a degraded policy is logged at once, then once a minute with the number of decisions, and once when it is over', async () => {
  const { build, outage, lines, clock } = await setUp()
  const [address, session] = [build('address'), build('session')]
  outage.isOn = true
  await address.check('203.0.113.7')
  expect(logged(lines)).toEqual([degradedLine('address', 1)])
  for (let second = 0; second < 59; second++) {
    clock.ms += 1_000
    await address.check('203.0.113.7')
  }
  await session.check('s')
  expect(logged(lines).slice(1)).toEqual([degradedLine('session', 1)])
  clock.ms += 1_000
  await address.check('203.0.113.7')
  expect(logged(lines).slice(2)).toEqual([degradedLine('address', 60)])
  await address.check('203.0.113.7')
  outage.isOn = false
  await address.check('203.0.113.7')
  expect(lines.length).toBe(3)
  clock.ms += 10_000
  await address.check('203.0.113.8')
  await address.check('203.0.113.9')
  expect(logged(lines).slice(3)).toEqual([restoredLine('address', 1)])
  expect(JSON.stringify(lines)).not.toContain('203.0.113')
})

test('a policy that is degraded on and off is logged once a minute', async () => {
  const { build, outage, lines, clock } = await setUp()
  const address = build('address')
  for (let second = 0; second < 180; second++) {
    outage.isOn = second % 2 === 0
    await address.check(`id-${second}`)
    clock.ms += 1_000
  }
  expect(logged(lines)).toEqual([1, 30, 30].map((count) => degradedLine('address', count)))
})

test('a policy that is degraded again within the minute is neither logged as degraded nor as restored', async () => {
  const { build, outage, lines, clock } = await setUp()
  const address = build('address')
  for (const isOn of [true, false, true, false]) {
    outage.isOn = isOn
    await address.check(`id-${clock.ms}`)
    clock.ms += 12_000
  }
  expect(logged(lines)).toEqual([degradedLine('address', 1), restoredLine('address', 0)])
  outage.isOn = true
  clock.ms += 12_000
  await address.check('a')
  expect(logged(lines).slice(2)).toEqual([degradedLine('address', 2)])
})

test('health is degraded, not unready, until ten seconds after the last degraded decision', async () => {
  const { build, outage, health, clock } = await setUp()
  const address = build('address')
  await address.check('a')
  expect(await health.ready()).toMatchObject({ status: 'ready', checks: [{ name: 'rate-limits', ok: true }] })
  outage.isOn = true
  await address.check('a')
  const failed = { name: 'rate-limits', ok: false, required: false, error: 'RATE_LIMITS_DEGRADED' }
  expect(await health.ready()).toMatchObject({ status: 'degraded', checks: [failed] })
  outage.isOn = false
  clock.ms += 9_999
  await address.check('a')
  expect((await health.ready()).status).toBe('degraded')
  clock.ms += 1
  expect((await health.ready()).status).toBe('ready')
})

test('a refund that fails degrades health and is no decision', async () => {
  const { build, outage, health, decided } = await setUp()
  const address = build('address')
  const { charge } = await address.check('a')
  outage.isOn = true
  expect(charge && (await address.refund('a', charge))).toBe(false)
  expect((await health.ready()).status).toBe('degraded')
  expect(await decided('address', 'allowed', true)).toBe(0)
})

test('reservations of a queue are counted, timed, and their waits measured', async () => {
  const { queueOf, outage, decided, observed, value, lines } = await setUp()
  const queue = queueOf('payment', { capacity: 1 })
  await queue.run('all', async () => {})
  await queue.reserve('all')
  expect((await queue.reserve('all')).allowed).toBe(false)
  expect([await decided('payment', 'allowed'), await decided('payment', 'denied')]).toEqual([2, 1])
  expect(await observed('payment')).toBe(3)
  expect(await value('rate_limit_queue_delay_seconds_count', { policy: 'payment' })).toBe(2)
  expect(await value('rate_limit_queue_delay_seconds_sum', { policy: 'payment' })).toBeCloseTo(200, 0)
  outage.isOn = true
  await queueOf('mail', { onUnavailable: 'closed' }).reserve('all')
  expect(await decided('mail', 'denied', true)).toBe(1)
  expect(logged(lines)).toEqual([{ ...degradedLine('mail', 1), reason: 'UNREACHABLE' }])
})

test('policies beyond two hundred are counted together as other', async () => {
  const { build, decided, metrics } = await setUp()
  for (let i = 0; i < 203; i++) await build(`policy-${i}`).check('a')
  expect(await decided('policy-199', 'allowed')).toBe(1)
  expect(await decided('policy-200', 'allowed')).toBeUndefined()
  expect(await decided('other', 'allowed')).toBe(3)
  const { text } = await metrics.page()
  expect(text.match(/^rate_limit_decisions_total\{/gm)?.length).toBe(201 * 4)
})
