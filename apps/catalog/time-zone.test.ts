import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { startCatalog } from './catalog.fixture.ts'

const patience = { timeout: 15_000, interval: 20 }

afterEach(() => vi.unstubAllEnvs())

describe.each([
  { database: 'America/New_York', process: 'Asia/Kolkata' },
  { database: 'Asia/Kolkata', process: 'America/New_York' },
])('with a database in $database and a process in $process', (zones) => {
  async function start(env: Record<string, string> = {}) {
    vi.stubEnv('TZ', zones.process)
    return startCatalog(env, { timezone: zones.database })
  }

  it('a product is new now, and a page by newest goes on where it ended', async () => {
    const catalog = await start()
    const product = { name: 'Tea', description: '', category: 'tea', priceCents: 450, stockCount: 9 }
    for (const sku of ['TEA-1', 'TEA-2', 'TEA-3']) {
      const added = await catalog.ask('/api/products', { as: 'admin', method: 'POST', body: { ...product, sku } })
      expect(added.statusCode).toBe(201)
      expect(Math.abs(Date.now() - Date.parse(added.json().updatedAt))).toBeLessThan(60_000)
    }
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page = await catalog.ask(`/api/products?sort=newest&limit=1${cursor && `&cursor=${cursor}`}`)
      seen.push(...page.json().items.map(({ sku }: { sku: string }) => sku))
      cursor = page.json().nextCursor
    }
    expect(seen).toEqual(['TEA-3', 'TEA-2', 'TEA-1'])
    await catalog.stop()
  })

  it('a reservation expires when its time is over, and not hours before or after it', async () => {
    const catalog = await start({ RESERVATION_TTL_MS: '2000' })
    await catalog.addProducts([{ sku: 'TEA-1', stockCount: 5 }])
    catalog.runLoops()
    const [id, orderId] = [randomUUID(), randomUUID()]
    const data = { orderId, userId: randomUUID(), items: [{ sku: 'TEA-1', quantity: 2 }], totalCents: 900 }
    const event = { id, type: 'order.placed', occurredAtMs: Date.now(), data }
    await catalog.orders.publish({ id, key: orderId, type: event.type, body: JSON.stringify(event) })
    await expect.poll(() => catalog.stockOf('TEA-1'), patience).toBe(3)
    const [reservation] = await catalog.prisma.reservation.findMany({ where: { orderId } })
    const lifetimeMs = Number(reservation?.expiresAt) - Number(reservation?.createdAt)
    expect(lifetimeMs).toBeGreaterThan(1_000)
    expect(lifetimeMs).toBeLessThan(3_000)
    await expect.poll(() => catalog.stockOf('TEA-1'), patience).toBe(5)
    await catalog.stop()
  })
})
