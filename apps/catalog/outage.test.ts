import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { startCatalog } from './catalog.fixture.ts'

const catalog = await startCatalog()
const { ask, links, orders, changes, announcements, addProducts, stockOf } = catalog
afterAll(() => catalog.stop())
afterEach(async () => {
  await Promise.all(Object.values(links).map((link) => link.heal()))
  // What the cache could not be told is told now: not in the middle of the next test.
  await vi.waitFor(async () => expect(await waitingCount()).toBe(0), patience)
})
await addProducts([{ sku: 'TEA-1', stockCount: 100 }])
catalog.runLoops()

/** A busy machine may take its time; vitest's own limit is what fails a test. */
const patience = { timeout: 18_000, interval: 50 }
const waitingCount = async () => {
  const stats = await Promise.all([orders.stats('catalog'), changes.stats('catalog-cache')])
  return stats.reduce((sum, { pendingCount, lagCount }) => sum + pendingCount + lagCount, 0)
}
const readiness = async () => (await ask('/health/ready')).json().status

it('without its cache the catalog answers from Postgres, says so, and uses the cache again when it is back', async () => {
  await ask('/api/products/TEA-1')
  await links.cache.refuse()
  await expect.poll(async () => (await ask('/api/products/TEA-1')).headers['x-cache'], patience).toBe('bypass')
  for (let round = 0; round < 40; round++) {
    const [product, absent, categories] = await Promise.all([
      ask('/api/products/TEA-1'),
      ask('/api/products/NO-SUCH'),
      ask('/api/categories'),
    ])
    expect([product.statusCode, absent.statusCode, categories.statusCode]).toEqual([200, 404, 200])
    expect(product.headers['x-cache']).toBe('bypass')
  }
  const body = { priceCents: 4200 }
  expect((await ask('/api/products/TEA-1', { as: 'admin', method: 'PATCH', body })).json()).toMatchObject(body)
  expect((await ask('/api/products/TEA-1')).json()).toMatchObject(body)
  await expect.poll(readiness, patience).toBe('degraded')

  await links.cache.heal()
  await expect.poll(async () => (await ask('/api/products/TEA-1')).headers['x-cache'], patience).toMatch(/^hit/)
})

it('a cache that swallows everything costs each reader less than a second', async () => {
  links.cache.blackHole()
  for (let round = 0; round < 5; round++) {
    const startedAtMs = performance.now()
    expect((await ask('/api/products/TEA-1')).statusCode).toBe(200)
    expect(performance.now() - startedAtMs).toBeLessThan(1_000)
  }
})

it('without Postgres the catalog is unready, shows what is cached, and says 503 for the rest', async () => {
  await expect.poll(async () => (await ask('/api/products/TEA-1')).headers['x-cache'], patience).toMatch(/^hit/)
  await links.postgres.refuse()
  await expect.poll(async () => (await ask('/api/products/TEA-1')).statusCode, patience).toBe(200)
  const refused = await Promise.all(
    ['/api/products', '/api/products/quote?sku=TEA-1', '/api/products/TEA-2'].map((url) => ask(url)),
  )
  for (const answer of refused) {
    expect(answer.json(), answer.json().instance).toMatchObject({ status: 503, code: 'dependency-unavailable' })
    expect(answer.headers['retry-after']).toBeDefined()
  }
  await expect.poll(readiness, patience).toBe('unready')
  await links.postgres.heal()
  await expect.poll(readiness, patience).toBe('ready')
})

it.each(['postgres', 'state'] as const)(
  'orders that come while %s is away wait, and none is lost, doubled or given up',
  async (link) => {
    const before = await stockOf('TEA-1')
    const deadBefore = (await orders.stats('catalog')).deadLetterCount
    await links[link].refuse()
    const publish = (orderId: string) => {
      const data = { orderId, userId: orderId, items: [{ sku: 'TEA-1', quantity: 1 }], totalCents: 1 }
      const id = randomUUID()
      const body = JSON.stringify({ id, type: 'order.placed', occurredAtMs: Date.now(), data })
      return orders.publish({ id, key: orderId, type: 'order.placed', body })
    }
    await Promise.all(Array.from({ length: 10 }, () => publish(randomUUID())))
    const { lengthCount } = await announcements.stats('order')
    await expect.poll(readiness, patience).toBe(link === 'postgres' ? 'unready' : 'degraded')
    expect((await ask('/api/products/TEA-1')).statusCode).toBe(200)

    await links[link].heal()
    await expect.poll(async () => (await announcements.stats('order')).lengthCount, patience).toBe(lengthCount + 10)
    expect(await stockOf('TEA-1')).toBe(before - 10)
    expect((await orders.stats('catalog')).deadLetterCount).toBe(deadBefore)
  },
)
