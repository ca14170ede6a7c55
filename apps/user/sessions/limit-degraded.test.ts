/** The limit of sign-ins while its Redis fails: what clients, metrics, health and the log are told. */
import { randomUUID } from 'node:crypto'
import { typicalExcessMs } from '@shop/test-kit/excess'
import { type RefusalWord, refuseWrites } from '@shop/test-kit/refused-writes'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startUser } from '../user.fixture.ts'

const password = 'correct horse battery'
const patiently = { timeout: 20_000, interval: 20 }
/** The longest that the decision of a policy may take. */
const DEADLINE_MS = 250

async function setUp(env: Record<string, string> = {}) {
  const user = await startUser(env)
  onTestFinished(user.stop)
  const email = `${randomUUID()}@example.com`
  const signIn = (guess = password) => user.ask('/api/sessions', { method: 'POST', body: { email, password: guess } })
  const health = async () => (await user.ask('/health/ready')).json()
  await user.ask('/api/users', { method: 'POST', body: { email, name: 'Ada', password } })
  await vi.waitFor(async () => expect((await health()).status).toBe('ready'), patiently)
  await vi.waitFor(async () => expect((await signIn()).statusCode).toBe(201), patiently)
  const before = await decided('decision="denied",degraded="true"')
  /** Since the fault. */
  const degradedCount = async () => (await decided('decision="denied",degraded="true"')) - before

  /** All decisions about sign-ins with this label. */
  async function decided(label: string): Promise<number> {
    const { text } = await user.metrics.page()
    const series = text.split('\n').filter((line) => line.startsWith('rate_limit_decisions_total{'))
    const wanted = series.filter((line) => line.includes('policy="sign-in"') && line.includes(label))
    return wanted.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
  }
  const limitLines = () =>
    user.lines
      .filter(({ policy, level }) => policy !== undefined && level === 'warn')
      .map(({ policy, reason, msg }) => ({ policy, reason, msg }))

  /** How much later than the deadline of its limit a sign-in is refused. */
  const refusalExcessMs = () =>
    typicalExcessMs(DEADLINE_MS, async () => {
      const { statusCode, headers } = await signIn()
      expect(statusCode).toBe(503)
      expect(headers['set-cookie']).toBeUndefined()
    })
  return { user, email, signIn, health, degradedCount, limitLines, refusalExcessMs }
}

/** On a loaded machine a decision may be late before it is refused. */
const degradedLine = (reason: string) => ({
  policy: 'sign-in',
  reason: expect.stringMatching(`^(${reason}|RATE_LIMIT_LATE)$`),
  msg: 'rate limit degraded: decided without Redis',
})

/** Health repeats an answer for a second. */
const limitsCheck = expect.objectContaining({
  name: 'rate-limits',
  ok: false,
  required: false,
  error: 'RATE_LIMITS_DEGRADED',
})

/** Redis is required. MISCONF refuses the PING of its probe as well; the others refuse the limit only. */
const refusals: [RefusalWord, status: string][] = [
  ['READONLY', 'degraded'],
  ['NOREPLICAS', 'degraded'],
  ['MISCONF', 'unready'],
]

describe.each(refusals)('a Redis that refuses writes with %s', (word, expected) => {
  test('refuses sign-ins in time, is counted, degrades health, and is logged once', async () => {
    const { user, email, signIn, health, degradedCount, limitLines, refusalExcessMs } = await setUp()
    const heal = await refuseWrites(user.redis.url, word)
    expect(await refusalExcessMs()).toBeLessThan(DEADLINE_MS)
    expect(await degradedCount()).toBe(5)
    await vi.waitFor(async () => {
      const { status, checks } = await health()
      expect(status).toBe(expected)
      expect(checks).toContainEqual(limitsCheck)
    }, patiently)
    expect(limitLines()).toEqual([degradedLine(word)])
    await heal()
    await vi.waitFor(async () => expect((await signIn()).statusCode).toBe(201), patiently)
    expect(JSON.stringify(user.lines)).not.toContain(email)
  })
})

test('a full Redis still limits guesses, and does not charge who knows the password', async () => {
  const { user, signIn } = await setUp({ SIGN_IN_LIMIT_COUNT: '3' })
  onTestFinished(await refuseWrites(user.redis.url, 'OOM'))
  /** Of a decision that was not late. */
  async function judged(guess?: string): Promise<string> {
    const { code } = (await signIn(guess)).json()
    return code === 'sign-in-unavailable' ? judged(guess) : code
  }
  // There is no room for a session.
  for (let i = 0; i < 5; i++) expect(await judged()).toBe('dependency-unavailable')
  for (let i = 0; i < 3; i++) expect(await judged('wrong password')).toBe('credentials-wrong')
  expect(await judged('wrong password')).toBe('too-many-sign-ins')
})

test('a Redis that is silent costs a sign-in the deadline', async () => {
  const { user, signIn, health, degradedCount, limitLines, refusalExcessMs } = await setUp()
  user.link.blackHole()
  expect(await refusalExcessMs()).toBeLessThan(DEADLINE_MS)
  expect(await degradedCount()).toBe(5)
  await vi.waitFor(async () => expect((await health()).checks).toContainEqual(limitsCheck), patiently)
  expect(limitLines()).toEqual([degradedLine('RATE_LIMIT_LATE')])
  await user.link.heal()
  await vi.waitFor(async () => expect((await signIn()).statusCode).toBe(201), patiently)
})

test('a Redis that was restarted decides again, without its scripts', async () => {
  const { user, signIn, health, degradedCount, limitLines, refusalExcessMs } = await setUp()
  await user.redis.kill('SIGKILL')
  expect(await refusalExcessMs()).toBeLessThan(DEADLINE_MS)
  expect(await degradedCount()).toBe(5)
  await vi.waitFor(async () => expect((await health()).checks).toContainEqual(limitsCheck), patiently)
  await user.redis.restart()
  await vi.waitFor(async () => expect((await signIn()).statusCode).toBe(201), patiently)
  expect(limitLines().length).toBe(1)
})
