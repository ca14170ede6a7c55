import { startService } from '@shop/test-kit/service'
import { afterAll, expect, it } from 'vitest'
import { startCatalog } from './catalog.fixture.ts'

/** Its servers are what is used of it; its app only adds products. */
const catalog = await startCatalog()
await catalog.addProducts([{ sku: 'TEA-1' }])
afterAll(() => catalog.stop())

it('the process serves what the app serves, and ends in order when it is told to', async () => {
  const service = await startService({ app: 'catalog', env: catalog.variables })
  const response = await fetch(`${service.url}/api/products/TEA-1`, { headers: catalog.identityOf('guest') })
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({ sku: 'TEA-1' })
  const metrics = await fetch(`http://127.0.0.1:${service.internalPort}/metrics`)
  expect(await metrics.text()).toContain('route="/api/products/:sku"')
  expect(await service.stop()).toMatchObject({ code: 0 })
})
