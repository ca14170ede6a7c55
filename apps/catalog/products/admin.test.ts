import { afterAll, describe, expect, it } from 'vitest'
import { startCatalog } from '../catalog.fixture.ts'

const catalog = await startCatalog()
afterAll(() => catalog.stop())

const cup = { sku: 'CUP-1', name: 'Cup', description: 'Holds tea.', category: 'cups', priceCents: 900, stockCount: 3 }
const cups = async () =>
  (await catalog.ask('/api/categories')).json().items.find(({ slug }: { slug: string }) => slug === 'cups').productCount

describe('an administrator', () => {
  it('adds, changes and removes a product, and every reader sees it at once', async () => {
    expect(await cups()).toBe(0)
    const added = await catalog.ask('/api/products', { as: 'admin', method: 'POST', body: cup })
    expect(added.statusCode).toBe(201)
    expect(added.headers.location).toBe('/api/products/CUP-1')
    expect((await catalog.ask('/api/products/CUP-1')).json()).toEqual(added.json())
    expect(await cups()).toBe(1)

    const { etag } = (await catalog.ask('/api/products/CUP-1')).headers
    const changed = await catalog.ask('/api/products/CUP-1', {
      as: 'admin',
      method: 'PATCH',
      body: { priceCents: 800 },
    })
    expect(changed.json()).toMatchObject({ priceCents: 800, name: 'Cup' })
    const read = await catalog.ask('/api/products/CUP-1', { headers: { 'if-none-match': String(etag) } })
    expect(read.statusCode).toBe(200)
    expect(read.json()).toEqual(changed.json())
    expect(read.json().updatedAt > added.json().updatedAt).toBe(true)

    expect((await catalog.ask('/api/products/CUP-1', { as: 'admin', method: 'DELETE' })).statusCode).toBe(204)
    expect((await catalog.ask('/api/products/CUP-1')).statusCode).toBe(404)
    expect(await cups()).toBe(0)
  })

  it('hears what is wrong', async () => {
    await catalog.addProducts([{ sku: 'TEA-1' }])
    const send = (method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) =>
      catalog.ask(path, { as: 'admin', method, ...(body && { body }) }).then((answer) => answer.json())
    expect(await send('POST', '/api/products', { ...cup, sku: 'TEA-1' })).toMatchObject({
      status: 409,
      code: 'product-exists',
    })
    expect(await send('POST', '/api/products', { ...cup, category: 'no-such' })).toMatchObject({
      status: 422,
      code: 'category-unknown',
    })
    expect(await send('PATCH', '/api/products/TEA-1', { category: 'no-such' })).toMatchObject({
      status: 422,
      code: 'category-unknown',
    })
    expect(await send('PATCH', '/api/products/NO-SUCH', { name: 'x' })).toMatchObject({
      status: 404,
      code: 'product-not-found',
    })
    expect(await send('DELETE', '/api/products/NO-SUCH')).toMatchObject({ status: 404, code: 'product-not-found' })
    expect(await send('PATCH', '/api/products/TEA-1', {})).toMatchObject({ status: 400, code: 'validation-failed' })
    expect(await send('PATCH', '/api/products/TEA-1', { stockCount: -1 })).toMatchObject({
      errors: [{ path: '/stockCount' }],
    })
    expect(await send('POST', '/api/products', { ...cup, priceCents: '900' })).toMatchObject({
      errors: [{ path: '/priceCents' }],
    })
  })

  it('is the only one who may', async () => {
    const asked = await Promise.all(
      (['guest', 'customer'] as const).map((as) => catalog.ask('/api/products', { as, method: 'POST', body: cup })),
    )
    expect(asked.map(({ statusCode }) => statusCode)).toEqual([401, 403])
    expect((await catalog.ask('/api/products/TEA-1', { as: 'customer', method: 'DELETE' })).statusCode).toBe(403)
  })
})
