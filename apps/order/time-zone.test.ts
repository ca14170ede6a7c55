import { createPool } from '@shop/service-kit/storage/database'
import { testDatabase } from '@shop/test-kit/postgres'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { startOrder } from './order.fixture.ts'

const minuteMs = 60_000
const patience = { timeout: 15_000, interval: 20 }

afterEach(() => vi.unstubAllEnvs())

/** Both are behind UTC once and ahead of it once: due times are then hours too late, or hours too early. */
describe.each([
  { database: 'America/New_York', process: 'Asia/Kolkata' },
  { database: 'Asia/Kolkata', process: 'America/New_York' },
])('with a database in $database and a process in $process', (zones) => {
  async function start(env: Record<string, string> = {}) {
    vi.stubEnv('TZ', zones.process)
    const { url } = await testDatabase('order', { timezone: zones.database })
    const order = await startOrder(env, url)
    order.prices.set('TEA-1', 450)
    return { ...order, url }
  }

  it('an order is placed, paid and paid back now, and each of its times says so', async () => {
    const order = await start()
    const startedAtMs = Date.now()
    const { as, id } = await order.placed(order.customer(), 'callback')
    await order.sayStock('stock.reserved', id)
    await expect.poll(() => order.statusOf(as, id), patience).toBe('confirmed')
    await order.cancel(as, id)
    const shown = async () => (await order.ask(`/api/orders/${id}`, { as })).json()
    await expect.poll(async () => (await shown()).refund, patience).toBe('done')

    const { createdAt, updatedAt } = await shown()
    const admin = { role: 'admin', userId: as.userId, session: 'test' } as const
    const { items } = (await order.ask(`/api/orders/${id}/timeline`, { as: admin })).json()
    const times = [createdAt, updatedAt, ...items.map(({ at }: { at: string }) => at)].map((time) => Date.parse(time))
    for (const time of times) {
      expect(time).toBeGreaterThanOrEqual(startedAtMs - 1_000)
      expect(time).toBeLessThanOrEqual(Date.now() + 1_000)
    }
    const { items: page } = (await order.ask('/api/orders?limit=1', { as })).json()
    expect(page).toMatchObject([{ id, createdAt }])
    await order.stop()
  })

  it('rows carry the instant at which they were written', async () => {
    const order = await start()
    const { as, id } = await order.placed()
    await order.sayStock('stock.reserved', id)
    await expect.poll(() => order.statusOf(as, id), patience).toBe('confirmed')
    await order.cancel(as, id)
    const pool = createPool(order.url, { name: 'test' })
    const columns = {
      orders: ['created_at', 'updated_at', 'confirmed_at', 'waiting_since'],
      payments: ['created_at', 'updated_at'],
      refunds: ['created_at'],
      order_timeline: ['at'],
      outbox: ['created_at'],
      idempotency_records: ['created_at'],
    }
    for (const [table, names] of Object.entries(columns)) {
      for (const name of names) {
        const { rows } = await pool.query(
          `SELECT extract(epoch FROM now() - ${name})::float8 * 1000 AS "ageMs" FROM ${table}`,
        )
        expect([table, name, rows.length > 0]).toEqual([table, name, true])
        for (const { ageMs } of rows) expect([table, name, Math.abs(ageMs) < minuteMs]).toEqual([table, name, true])
      }
    }
    await pool.end()
    await order.stop()
  })

  it('an order is cancelled at its deadline, and not hours before or after it', async () => {
    const order = await start({ ORDER_DEADLINE_MS: '2000', ORDER_SWEEP_MS: '50' })
    const { as, id, response } = await order.placed()
    expect(response.statusCode).toBe(202)
    await expect.poll(() => order.statusOf(as, id), patience).toBe('cancelled')
    const { createdAt, updatedAt } = (await order.ask(`/api/orders/${id}`, { as })).json()
    expect(Date.parse(updatedAt) - Date.parse(createdAt)).toBeGreaterThan(1_900)
    await order.stop()
  })
})
