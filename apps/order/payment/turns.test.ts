import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { leakyQueueKeys } from '@shop/redis-kit/rate-limit/queue'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { startOrder } from '../order.fixture.ts'
import { PaymentPostponed } from './provider.ts'
import { createPaymentTurns, type TurnsOptions } from './turns.ts'

const server = await testRedis()
const plain = server.connect()

async function nowUs() {
  const [seconds, micros] = await plain.time()
  return Number(seconds) * 1e6 + Number(micros)
}

/** Each is an instance: they share nothing but Redis. */
async function instances(count: number, options: Partial<TurnsOptions> = {}) {
  const keys = leakyQueueKeys(server.namespace(), 'payment', 'state')
  return Promise.all(
    Array.from({ length: count }, async () => {
      const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 20_000 })
      onTestFinished(() => closeRedis(redis))
      await whenReady(redis, 10_000)
      const fail = (error: unknown) => expect.unreachable(String(error))
      return createPaymentTurns(redis, { keys, ratePerSecond: 20, maxWaitMs: 10_000, onDegraded: fail, ...options })
    }),
  )
}

test('two instances together call the provider no more often than the rate allows', async () => {
  const turns = await instances(2)
  const startUs = await nowUs()
  const calls = Array.from({ length: 12 }, (_, n) => turns[n % 2]?.(nowUs))
  const calledUs = (await Promise.all(calls)).map(Number).toSorted((a, b) => a - b)
  for (const [n, atUs] of calledUs.entries()) expect(atUs - startUs, `call ${n}`).toBeGreaterThanOrEqual(n * 50_000)
})

test('a call that would wait too long is postponed, and the provider is not asked', async () => {
  const [inTurn] = await instances(1, { ratePerSecond: 1, maxWaitMs: 100 })
  let askedCount = 0
  const ask = async () => void askedCount++
  await inTurn?.(ask)
  await expect(inTurn?.(ask)).rejects.toThrow(PaymentPostponed)
  expect(askedCount).toBe(1)
})

test('without Redis the provider is asked at once', async () => {
  const redis = connectRedis('redis://127.0.0.1:1', { name: 'test', commandTimeoutMs: 50 })
  onTestFinished(() => closeRedis(redis))
  const reasons: unknown[] = []
  const inTurn = createPaymentTurns(redis, {
    keys: leakyQueueKeys('t', 'payment', 'state'),
    ratePerSecond: 1,
    maxWaitMs: 0,
    onDegraded: (error) => reasons.push(error),
  })
  for (let i = 0; i < 3; i++) expect(await inTurn(async () => 'asked')).toBe('asked')
  expect(reasons).toHaveLength(3)
})

test('orders above the rate are paid later, each of them once, and counted', async () => {
  // No call has the time to wait for its turn: each comes again, as after an outage of the provider.
  const order = await startOrder({ PAYMENT_RATE_PER_SECOND: '1', PAYMENT_TIMEOUT_MS: '500' })
  onTestFinished(order.stop)
  order.prices.set('TEA-1', 450)
  const placed = await Promise.all(Array.from({ length: 3 }, () => order.placed(order.customer())))
  const startMs = Date.now()
  for (const { id } of placed) await order.sayStock('stock.reserved', id)
  for (const { as, id } of placed) {
    await expect.poll(() => order.statusOf(as, id), { timeout: 25_000, interval: 50 }).toBe('confirmed')
  }
  const charges = await order.prisma.simulatedCharge.findMany()
  expect(new Map(charges.map(({ key, attempts }) => [key, attempts]))).toEqual(new Map(placed.map(({ id }) => [id, 1])))
  const last = await order.prisma.order.findFirstOrThrow({ orderBy: { confirmedAt: 'desc' } })
  expect(Number(last.confirmedAt)).toBeGreaterThanOrEqual(startMs + 2_000)
  const { text } = await order.metrics.page()
  const decisions = text.split('\n').filter((line) => line.startsWith('rate_limit_decisions_total{policy="payment"'))
  const allowed = decisions.find((line) => line.includes('decision="allowed",degraded="false"'))
  expect(allowed).toMatch(/ 3$/)
})
