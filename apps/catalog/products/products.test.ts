import { Product, Quote } from '@shop/contracts/product'
import { Value } from 'typebox/value'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { startCatalog } from '../catalog.fixture.ts'

const catalog = await startCatalog()
afterAll(() => catalog.stop())

const patience = { timeout: 10_000, interval: 20 }
let number = 0
let sku: string
let path: string
beforeEach(async () => {
  number += 1
  sku = `TEA-${number}`
  path = `/api/products/${sku}`
  await catalog.addProducts([{ sku, name: 'Green "tea" & <herbs> ☕', priceCents: 1299, stockCount: 7 }])
})

describe('one product', () => {
  it('is as the contract says, and the same in the list', async () => {
    const answer = await catalog.ask(path)
    expect(answer.statusCode).toBe(200)
    const product = answer.json()
    expect(Value.Errors(Product, product)).toEqual([])
    expect(product).toMatchObject({ sku, currency: 'EUR', stockCount: 7, imageUrl: `${path}/image.svg` })
    const { items } = (await catalog.ask('/api/products?sort=newest&limit=100')).json()
    expect(items).toContainEqual(product)
  })

  it('comes from Postgres once and then from the cache, byte for byte, in every instance', async () => {
    const other = await catalog.startInstance()
    const first = await catalog.ask(path)
    expect(first.headers['x-cache']).toMatch(/miss|bypass/)
    for (const { ask } of [catalog, other]) {
      await expect.poll(async () => (await ask(path)).headers['x-cache'], patience).toBe('hit-local')
      const { body, headers } = await ask(path)
      expect(body).toBe(first.body)
      expect(headers.etag).toBe(first.headers.etag)
      expect(headers['content-type']).toBe('application/json; charset=utf-8')
    }
    await other.stop()
  })

  it('that is changed in one instance is soon seen in the others, which have it in memory', async () => {
    const other = await catalog.startInstance()
    await expect.poll(async () => (await other.ask(path)).headers['x-cache'], patience).toBe('hit-local')
    await catalog.ask(path, { as: 'admin', method: 'PATCH', body: { name: 'Changed' } })
    expect((await catalog.ask(path)).json()).toMatchObject({ name: 'Changed' })
    await expect.poll(async () => (await other.ask(path)).json().name, patience).toBe('Changed')
    await other.stop()
  })

  it('is loaded once for many readers at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => catalog.ask(path)))
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1)
    expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(50)
  })

  it('is not sent again to whoever has it', async () => {
    const { etag } = (await catalog.ask(path)).headers
    const again = await catalog.ask(path, { headers: { 'if-none-match': `"other", W/${etag}` } })
    expect(again.statusCode).toBe(304)
    expect(again.body).toBe('')
    expect(again.headers.etag).toBe(etag)
    expect((await catalog.ask(path, { headers: { 'if-none-match': '"other"' } })).statusCode).toBe(200)
  })

  it('may be kept by anybody, who has to ask each time whether it is still so', async () => {
    const { etag } = (await catalog.ask(path)).headers
    const answers = await Promise.all([
      catalog.ask(path),
      catalog.ask(path, { headers: { 'if-none-match': String(etag) } }),
      catalog.ask('/api/categories'),
      catalog.ask('/api/products?limit=1'),
    ])
    for (const { headers } of answers) {
      expect(headers['cache-control']).toBe('public, no-cache')
      expect(headers).not.toHaveProperty('vary')
    }
    expect((await catalog.ask('/api/products/NO-SUCH')).headers['cache-control']).toBe('no-store')
  })

  it('answers HEAD with the headers alone', async () => {
    const answer = await catalog.ask(path, { method: 'HEAD' })
    expect(answer.statusCode).toBe(200)
    expect(answer.body).toBe('')
    expect(answer.headers.etag).toBeDefined()
  })

  it('that does not exist is remembered as such until it is added', async () => {
    const absent = () => catalog.ask('/api/products/NEW-TEA')
    expect((await absent()).json()).toMatchObject({ status: 404, code: 'product-not-found' })
    await expect.poll(async () => (await absent()).headers['x-cache'], patience).toMatch(/^hit/)
    expect((await absent()).json()).toMatchObject({ status: 404, code: 'product-not-found' })
    const body = { sku: 'NEW-TEA', name: 'New', description: '', category: 'tea', priceCents: 1, stockCount: 1 }
    expect((await catalog.ask('/api/products', { as: 'admin', method: 'POST', body })).statusCode).toBe(201)
    expect((await catalog.ask('/api/products/NEW-TEA')).statusCode).toBe(200)
  })

  it.each(['x', 'tea-1', '-TEA', 'A'.repeat(33), 'TEA%201', '..%2F..%2Fetc', 'quotes'])(
    'cannot be called %s',
    async (name) => {
      const answer = await catalog.ask(`/api/products/${name}`)
      expect(answer.json()).toMatchObject({ status: 400, code: 'validation-failed', errors: [{ path: 'sku' }] })
    },
  )

  it('is not shown to whoever comes around the gateway', async () => {
    const answer = await catalog.server.inject({ url: path })
    expect(answer.json()).toMatchObject({ status: 401, code: 'identity-missing' })
  })

  it('has a picture with its name', async () => {
    const answer = await catalog.ask(`${path}/image.svg`)
    expect(answer.headers['content-type']).toMatch(/^image\/svg\+xml/)
    expect(answer.headers['cache-control']).toMatch(/public, max-age=\d+/)
    expect(answer.body).toContain('Green &quot;tea&quot; &amp; &lt;herbs&gt; ☕')
    expect((await catalog.ask('/api/products/NO-SUCH/image.svg')).json()).toMatchObject({ code: 'product-not-found' })
  })
})

describe('categories', () => {
  it('count their products and come from the cache the second time', async () => {
    const answer = await catalog.ask('/api/categories')
    expect(answer.json().items.map(({ slug }: { slug: string }) => slug)).toEqual(['cups', 'tea'])
    const source = async () => (await catalog.ask('/api/categories')).headers['x-cache']
    await expect.poll(source, patience).toMatch(/^hit/)
  })
})

describe('a quote', () => {
  it('is what Postgres says now, whatever the cache has', async () => {
    await catalog.ask(path)
    await catalog.prisma.product.update({ where: { sku }, data: { priceCents: 1 } })
    const quote = (await catalog.ask(`/api/products/quote?sku=${sku}&sku=NO-SUCH&sku=${sku}`)).json()
    expect(Value.Errors(Quote, quote)).toEqual([])
    expect(quote.items).toEqual([{ sku, name: 'Green "tea" & <herbs> ☕', priceCents: 1, stockCount: 7 }])
  })

  it.each(['', '?sku=x', `?${Array.from({ length: 101 }, (_, index) => `sku=TEA-${index}`).join('&')}`])(
    'is refused for %s',
    async (query) => {
      expect((await catalog.ask(`/api/products/quote${query}`)).statusCode).toBe(400)
    },
  )
})
