import { afterAll, expect, it } from 'vitest'
import { startCatalog } from '../catalog.fixture.ts'

const catalog = await startCatalog()
await catalog.addProducts([{ sku: 'TEA-1' }])
afterAll(() => catalog.stop())

it('without its cache the catalog answers from Postgres, says so, and uses the cache again when it is back', async () => {
  await catalog.ask('/api/products/TEA-1')
  await catalog.cache.kill('SIGKILL')

  for (let round = 0; round < 40; round++) {
    const [product, absent, categories] = await Promise.all([
      catalog.ask('/api/products/TEA-1'),
      catalog.ask('/api/products/NO-SUCH'),
      catalog.ask('/api/categories'),
    ])
    expect([product.statusCode, absent.statusCode, categories.statusCode]).toEqual([200, 404, 200])
    expect(product.headers['x-cache']).toBe('bypass')
  }
  const body = { priceCents: 4200 }
  const changed = await catalog.ask('/api/products/TEA-1', { as: 'admin', method: 'PATCH', body })
  expect(changed.json()).toMatchObject(body)
  expect((await catalog.ask('/api/products/TEA-1')).json()).toMatchObject(body)
  expect((await catalog.ask('/health/ready')).json()).toMatchObject({ status: 'degraded' })

  await catalog.cache.restart()
  await expect
    .poll(async () => (await catalog.ask('/api/products/TEA-1')).headers['x-cache'], { timeout: 15_000 })
    .toBe('hit')
})
