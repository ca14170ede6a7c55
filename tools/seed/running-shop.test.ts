/** What shoppers see of a seed while the shop runs, with what Redis and the catalog's own memory have of the old products. */
import { createIdentityMinter, generateIdentityKeys } from '@shop/service-kit/identity'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { testDatabase } from '@shop/test-kit/postgres'
import { startService } from '@shop/test-kit/service'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { seed } from '../seed.ts'
import { productAt } from './catalogue.ts'

const patience = { timeout: 20_000 }

/** A catalog with a hundred products, as a process, and what its API says. */
async function startCatalog() {
  const { url: catalogUrl } = await testDatabase('catalog')
  const pool = new pg.Pool({ connectionString: catalogUrl })
  onTestFinished(() => pool.end())
  await seed({ catalogUrl, productCount: 100 })
  const [cache, state] = await Promise.all([startRedisWithUsers('cache'), startRedisWithUsers('state')])
  onTestFinished(async () => void (await Promise.all([cache.stop(), state.stop()])))
  const identity = generateIdentityKeys()
  const service = await startService({
    app: 'catalog',
    env: {
      DATABASE_URL: catalogUrl,
      REDIS_CACHE_URL: cache.urlAs('catalog'),
      REDIS_STATE_URL: state.urlAs('catalog'),
      IDENTITY_PUBLIC_KEY: identity.IDENTITY_PUBLIC_KEY,
    },
  })
  onTestFinished(async () => void (await service.stop()))
  const token = createIdentityMinter(identity.IDENTITY_PRIVATE_KEY)({ role: 'guest' })
  const ask = (path: string) => fetch(`${service.url}${path}`, { headers: { 'x-shop-identity': token } })
  const read = async (sku: string) => {
    const response = await ask(`/api/products/${sku}`)
    const { priceCents } = (await response.json()) as { priceCents?: number }
    return { status: response.status, priceCents, source: response.headers.get('x-cache') }
  }
  const productCount = async () => {
    const { items } = (await (await ask('/api/categories')).json()) as { items: { productCount: number }[] }
    return items.reduce((sum, item) => sum + item.productCount, 0)
  }
  return { catalogUrl, pool, read, productCount }
}

it('a fresh seed is seen at once: other prices, products that are gone, numbers per category', {
  timeout: 120_000,
}, async () => {
  const { catalogUrl, pool, read, productCount } = await startCatalog()
  const [kept, gone] = [productAt(0), productAt(99)]
  await pool.query('UPDATE products SET price_cents = 1 WHERE sku = $1', [kept.sku])
  for (const { sku } of [kept, gone]) {
    await expect.poll(async () => (await read(sku)).source, patience).toMatch(/^hit/)
  }
  expect((await read(kept.sku)).priceCents).toBe(1)
  expect(await productCount()).toBe(100)
  // The control: what nobody is told of is not seen.
  await pool.query('UPDATE products SET price_cents = 2 WHERE sku = $1', [kept.sku])
  expect(await read(kept.sku)).toMatchObject({ status: 200, priceCents: 1 })

  await seed({ catalogUrl, productCount: 50, isFresh: true })
  await expect.poll(async () => (await read(kept.sku)).priceCents, patience).toBe(kept.priceCents)
  await expect.poll(async () => (await read(gone.sku)).status, patience).toBe(404)
  await expect.poll(productCount, patience).toBe(50)
})
