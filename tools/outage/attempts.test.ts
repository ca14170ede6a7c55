/** A running shop whose Postgres is away: what the gateway repeats. The same database is behind every instance, so hardly anything. */
import { randomUUID } from 'node:crypto'
import { setTimeout as elapse } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, startWholeShop } from './whole-shop.fixture.ts'

const outageSeconds = Number(process.env.OUTAGE_SECONDS ?? 8)
/** Per second and kind of request. */
const ratePerSecond = 10

type Shop = Awaited<ReturnType<typeof startWholeShop>>
let shop: Shop
beforeAll(async () => {
  shop = await startWholeShop()
}, 120_000)
afterAll(() => shop.stop(), 60_000)

test('attempts are at most 1.2 times the requests, reads and writes with a key, and all is well when Postgres is back', {
  timeout: outageSeconds * 1_000 + 120_000,
}, async () => {
  const customer = shop.customer()
  await customer.signUp()
  await customer.ask('PUT', `/api/cart/items/${shop.skus[0]}`, { quantity: 1 })
  const requests: Record<'catalog' | 'user' | 'order', (() => Promise<Answer>)[]> = {
    catalog: [() => customer.ask('GET', `/api/products?limit=5&q=${randomUUID().slice(0, 8)}`)],
    user: [() => customer.ask('GET', '/api/users/me')],
    order: [
      () => customer.ask('GET', '/api/orders'),
      () => customer.ask('POST', '/api/orders', { payment: { card: 'approve' } }, randomUUID()),
    ],
  }
  const sent = { catalog: 0, user: 0, order: 0 }
  const failed = { catalog: 0, user: 0, order: 0 }
  const statuses = new Set<string>()
  await shop.postgres.kill('SIGKILL')
  const before = await shop.attemptCounts()
  const running: Promise<void>[] = []
  for (let tick = 0; tick < outageSeconds * ratePerSecond; tick++) {
    for (const service of ['catalog', 'user', 'order'] as const) {
      for (const ask of requests[service]) {
        sent[service] += 1
        running.push(
          ask().then(({ status, code }) => {
            statuses.add(`${status} ${code}`)
            if (status >= 500) failed[service] += 1
          }),
        )
      }
    }
    await elapse(1_000 / ratePerSecond)
  }
  await Promise.all(running)
  const after = await shop.attemptCounts()
  for (const service of ['catalog', 'user', 'order'] as const) {
    const attemptCount = after[service] - before[service]
    process.stderr.write(`${service}: ${sent[service]} requests, ${failed[service]} failed, ${attemptCount} attempts\n`)
    expect(failed[service], service).toBeGreaterThan(sent[service] / 2)
    expect(attemptCount, service).toBeLessThanOrEqual(1.2 * sent[service])
  }
  expect([...statuses].filter((status) => status.startsWith('500'))).toEqual([])

  await shop.postgres.restart()
  const all = () => Promise.all(Object.values(requests).flatMap((asks) => asks.map((ask) => ask())))
  await expect
    .poll(async () => (await all()).filter(({ status }) => status >= 500).length, { timeout: 20_000, interval: 200 })
    .toBe(0)
})
