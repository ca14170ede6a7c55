import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { typicalExcessMs } from '@shop/test-kit/excess'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { countCommands } from '@shop/test-kit/redis/command-counter'
import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { type AskerOrder, type AskerReport, type AskerSetup, limitsOf } from './asker.fixture.ts'
import { createRateLimits, type Question } from './dimensions.ts'
import { createRateLimit, type RateLimitOptions, rateLimitKeys } from './rate-limit.ts'

/** Nothing comes back while a test runs, however slow the machine is. */
const slow = { count: 1, periodMs: 600_000 }
const patient = { deadlineMs: 20_000 }
const limits = createRateLimits(patient)

function limitOn(redis: Redis, namespace: string, options: Partial<RateLimitOptions> & { burst: number }) {
  const keys = rateLimitKeys(namespace, randomUUID(), 'cache')
  return createRateLimit(redis, { keys, limit: slow, onUnavailable: 'closed', ...patient, ...options })
}

describe.each(['standalone', 'cluster'] as const)('several limits on Redis, %s', async (topology) => {
  const server = await testRedis({ topology })
  let redis: Redis
  const limit = (burst: number, options: Partial<RateLimitOptions> = {}) =>
    limitOn(redis, server.namespace(), { burst, ...options })

  beforeAll(async () => {
    redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 20_000 })
    await whenReady(redis, 10_000)
  })
  afterAll(() => closeRedis(redis))

  test('a request is admitted when every limit admits it, and charged in each, at its own cost', async () => {
    const { allowed, retryAfterMs, decisions } = await limits.check([
      { name: 'address', limit: limit(5), id: 'a', cost: 2 },
      { name: 'user', limit: limit(3), id: 'u' },
      { name: 'user-day', limit: limit(9), id: 'u', cost: 4 },
    ])
    expect({ allowed, retryAfterMs }).toEqual({ allowed: true, retryAfterMs: 0 })
    expect(decisions.map(({ name, policy, decision }) => [name, policy.burst, decision.remaining])).toEqual([
      ['address', 5, 3],
      ['user', 3, 2],
      ['user-day', 9, 5],
    ])
  })

  test('a request without limits is admitted', async () => {
    expect(await limits.check([])).toEqual({ allowed: true, retryAfterMs: 0, decisions: [] })
  })

  test('a refusal reports every limit that was asked; what was given back counts as remaining', async () => {
    const [address, minute, day] = [limit(10), limit(2, { maxKnownDenialMs: 0 }), limit(8)]
    const questions = [
      { name: 'address', limit: address, id: 'a', cost: 3 },
      { name: 'minute', limit: minute, id: 'u' },
      { name: 'day', limit: day, id: 'u' },
    ]
    for (let i = 0; i < 2; i++) await limits.check(questions)
    const { allowed, retryAfterMs, decisions } = await limits.check(questions)
    expect(allowed).toBe(false)
    expect(decisions.map(({ name, decision }) => [name, decision.allowed, decision.remaining])).toEqual([
      ['address', true, 4],
      ['minute', false, 0],
      ['day', true, 6],
    ])
    expect(retryAfterMs).toBe(decisions[1]?.decision.retryAfterMs)
    expect(decisions.some(({ decision }) => decision.charge)).toBe(false)
    expect((await address.check('a', 4)).allowed).toBe(true)
    expect((await day.check('u', 6)).allowed).toBe(true)
  })

  test('the longest wait is told, and -1 when one of the costs never fits', async () => {
    const [short, long] = [limit(1), limit(1, { limit: { count: 1, periodMs: 1_200_000 } })]
    const questions: Question[] = [
      { name: 'long', limit: long, id: 'u' },
      { name: 'short', limit: short, id: 'u' },
    ]
    await limits.check(questions)
    const { retryAfterMs } = await limits.check(questions)
    expect(retryAfterMs).toBeGreaterThan(600_000)
    const never = await limits.check([{ name: 'never', limit: limit(5), id: 'x', cost: 6 }, ...questions.slice(1)])
    expect(never).toMatchObject({ retryAfterMs: questions[1]?.limit.knownDenial('u')?.retryAfterMs }) // known: not asked
    expect(await limits.check([{ name: 'never', limit: limit(5), id: 'x', cost: 6 }])).toMatchObject({
      allowed: false,
      retryAfterMs: -1,
    })
  })

  test('control: without the refund a refused user uses up the address of all others', async () => {
    const [address, user] = [limit(10), limit(1)]
    const naive = async () => (await address.check('a')).allowed && (await user.check('u')).allowed
    for (let i = 0; i < 9; i++) await naive()
    expect((await address.check('a')).remaining).toBe(0)
  })

  test('refused requests in flight never let more through than the limits allow', async () => {
    const [address, user] = [limit(20), limit(6)]
    const asked = Array.from({ length: 60 }, (_, i) =>
      limits.check([
        { name: 'address', limit: address, id: 'a' },
        { name: 'user', limit: user, id: `u${i % 2}` },
      ]),
    )
    const admitted = (await Promise.all(asked)).filter(({ allowed }) => allowed).length
    expect(admitted).toBeLessThanOrEqual(12)
    expect((await address.check('a', 20 - admitted)).allowed).toBe(true) // everything else was given back
  })

  test('a mistake in one question rejects, and leaves nothing charged', async () => {
    const address = limit(5)
    const asked = limits.check([
      { name: 'address', limit: address, id: 'a' },
      { name: 'user', limit: limit(5), id: 'u', cost: 0 },
    ])
    await expect(asked).rejects.toThrow('cost must be an integer')
    expect((await address.check('a')).remaining).toBe(4)
  })

  test.each([0, -1, 1.5, Number.NaN])('a cost of %d rejects, although a denial of the id is known', async (cost) => {
    const user = limit(2)
    await user.check('u', 2)
    expect((await user.check('u')).allowed).toBe(false)
    expect(user.knownDenial('u')).toMatchObject({ allowed: false })
    const asked = limits.check([{ name: 'user', limit: user, id: 'u', cost }])
    await expect(asked).rejects.toThrow('cost must be an integer')
  })

  test.each(['in a row', 'in parallel'] as const)(
    'the user is denied 1,000 times %s, in each of two processes, and the address is uncharged',
    async (how) => {
      const setup = { namespace: server.namespace(), addressBurst: 50, userBurst: 3 }
      const own = limitsOf(redis, setup)
      expect((await own.user.check('u', 3)).allowed).toBe(true)
      const askers = await Promise.all([
        startAsker({ ...setup, redisUrl: server.url }),
        startAsker({ ...setup, redisUrl: server.url }),
      ])
      const reports = await Promise.all(askers.map((asker) => asker.tell({ order: 'check', times: 1_000, how })))
      expect(reports).toEqual(Array(2).fill({ admitted: 0, refused: 1_000, degraded: 0 }))
      expect((await own.address.check('a')).remaining).toBe(49)
    },
  )

  test('a charge is given back once, whichever process asks', async () => {
    const setup = { namespace: server.namespace(), addressBurst: 10, userBurst: 1 }
    const { address } = limitsOf(redis, setup)
    const asker = await startAsker({ ...setup, redisUrl: server.url })
    const { charge } = await address.check('a', 3)
    if (!charge) throw new Error('nothing was charged')
    await address.check('a', 5)
    expect(await address.refund('a', charge)).toBe(true)
    expect(await address.refund('a', charge)).toBe(false)
    expect(await asker.tell({ order: 'refund', id: 'a', charge })).toEqual({ refundedNow: false })
    expect((await address.check('a')).remaining).toBe(4)
  })
})

describe('several limits behind a proxy that breaks', () => {
  let server: Awaited<ReturnType<typeof startRedis>>
  let proxy: FaultProxy
  let [redis, sound]: Redis[] = []

  beforeAll(async () => {
    server = await startRedis()
    sound = connectRedis(server.url, { name: 'test', commandTimeoutMs: 20_000 })
    await whenReady(sound, 10_000)
  })
  beforeEach(async () => {
    proxy = await startFaultProxy({ port: server.port })
    redis = connectRedis(proxy.url, { name: 'test', commandTimeoutMs: 20_000 })
    await whenReady(redis, 10_000)
    onTestFinished(async () => {
      await proxy.refuse() // what still waits for an answer fails at once
      await closeRedis(redis as Redis)
    })
  })
  afterAll(async () => {
    await closeRedis(sound as Redis)
    await server.stop()
  })
  const limit = (burst: number, options: Partial<RateLimitOptions> = {}) =>
    limitOn(redis as Redis, `test-${randomUUID()}`, { burst, ...options })
  /** Its server is known to be away: no deadline has to pass. */
  async function brokenLimit(onUnavailable: RateLimitOptions['onUnavailable']) {
    const broken = connectRedis(proxy.url, { name: 'test', commandTimeoutMs: 200 })
    onTestFinished(() => closeRedis(broken))
    await proxy.refuse()
    return limitOn(broken, `test-${randomUUID()}`, { burst: 9, onUnavailable })
  }
  const soundLimit = (burst: number) => limitOn(sound as Redis, `test-${randomUUID()}`, { burst })

  test('four limits are asked in one packet, without waiting for an answer', async () => {
    const questions = ['address', 'user', 'key-minute', 'key-day'].map((name) => ({ name, limit: limit(9), id: 'x' }))
    await limits.check(questions)
    const commands = await countCommands(server.url)
    onTestFinished(commands.close)
    proxy.resetCounters()
    const release = proxy.hold()
    const decision = limits.check(questions)
    await expect.poll(async () => (await commands.take()).sentCount, { timeout: 15_000 }).toBe(4)
    expect(proxy.counters().packetsToServer).toBe(1)
    release()
    expect(await decision).toMatchObject({ allowed: true })
    expect(proxy.counters().packetsToServer).toBe(1)
  })

  test('a refusal takes one packet more, whatever has to be given back', async () => {
    const questions = [
      ...['address', 'user', 'key-minute'].map((name) => ({ name, limit: limit(9), id: 'x' })),
      { name: 'key-day', limit: limit(1, { maxKnownDenialMs: 0 }), id: 'x' },
    ]
    await limits.check(questions)
    await limits.check(questions) // the refund's script is known by now
    proxy.resetCounters()
    expect(await limits.check(questions)).toMatchObject({ allowed: false })
    expect(proxy.counters().packetsToServer).toBe(2)
  })

  test('a known denial in any limit is found before anything is charged, without a packet', async () => {
    const user = { name: 'user', limit: limit(1, { maxKnownDenialMs: 60_000 }), id: 'u' }
    const address = limit(100)
    for (let i = 0; i < 2; i++) await limits.check([{ name: 'address', limit: address, id: 'a' }, user])
    proxy.resetCounters()
    const { allowed, decisions } = await limits.check([{ name: 'address', limit: address, id: 'other' }, user])
    expect(allowed).toBe(false)
    expect(decisions.map(({ name }) => name)).toEqual(['user'])
    expect(proxy.counters().packetsToServer).toBe(0)
  })

  test('three limits and a black hole cost one deadline, not three', async () => {
    const deadlineMs = 200
    const questions = ['address', 'user', 'route'].map((name) => ({
      name,
      limit: limit(9, { onUnavailable: 'open' }),
      id: 'x',
    }))
    const joint = createRateLimits({ deadlineMs })
    expect((await limits.check(questions)).allowed).toBe(true)
    proxy.blackHole()
    const excessMs = await typicalExcessMs(deadlineMs, async () => {
      const { allowed, decisions } = await joint.check(questions)
      expect(allowed).toBe(true)
      expect(decisions.every(({ decision }) => decision.degraded)).toBe(true)
    })
    expect(excessMs).toBeLessThan(deadlineMs)
  })

  test.each([
    { onUnavailable: 'open', allowed: true, chargedCount: 1 },
    { onUnavailable: 'local', allowed: true, chargedCount: 1 },
    { onUnavailable: 'closed', allowed: false, chargedCount: 0 },
  ] as const)('a degraded limit that fails $onUnavailable does not stop the others', async (mode) => {
    const { onUnavailable, allowed, chargedCount } = mode
    const user = soundLimit(9)
    const questions = [
      { name: 'address', limit: await brokenLimit(onUnavailable), id: 'a' },
      { name: 'user', limit: user, id: 'u' },
    ]
    const answer = await limits.check(questions)
    expect(answer.allowed).toBe(allowed)
    expect(answer.decisions.map(({ decision }) => [decision.allowed, decision.degraded])).toEqual([
      [allowed, true],
      [true, false],
    ])
    expect((await user.check('u')).remaining).toBe(9 - chargedCount - 1)
  })

  test('a degraded limit that keeps a share in this process is uncharged as well when another one refuses', async () => {
    const [address, user] = [await brokenLimit('local'), soundLimit(1)]
    const questions = [
      { name: 'address', limit: address, id: 'a' },
      { name: 'user', limit: user, id: 'u' },
    ]
    await user.check('u')
    for (let i = 0; i < 30; i++) expect((await limits.check(questions)).allowed).toBe(false)
    expect(await address.check('a')).toMatchObject({ degraded: true, remaining: 8 })
  })

  test('a limit that refuses is obeyed while another one is degraded', async () => {
    const user = soundLimit(1)
    const questions = [
      { name: 'address', limit: await brokenLimit('open'), id: 'a' },
      { name: 'user', limit: user, id: 'u' },
    ]
    expect((await limits.check(questions)).allowed).toBe(true)
    expect((await limits.check(questions)).allowed).toBe(false)
  })
})

async function startAsker(setup: AskerSetup) {
  const child: ChildProcess = fork(
    fileURLToPath(new URL('./asker.fixture.ts', import.meta.url)),
    [JSON.stringify(setup)],
    {
      execArgv: [],
    },
  )
  onTestFinished(async () => {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  })
  await once(child, 'message') // it is connected
  return {
    async tell(order: AskerOrder): Promise<AskerReport> {
      child.send(order)
      const [report] = await once(child, 'message')
      return report
    },
  }
}
