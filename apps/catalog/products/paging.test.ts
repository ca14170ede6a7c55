import type { ProductPage, ProductSort } from '@shop/contracts/product'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCatalog } from '../catalog.fixture.ts'

const sorts: ProductSort[] = ['name', 'price', '-price', 'newest']
const filters = [
  '',
  'category=cups',
  'minPriceCents=250&maxPriceCents=500',
  'inStock=true',
  'inStock=false&category=tea',
]
const productCount = 97

const catalog = await startCatalog()
afterAll(() => catalog.stop())

beforeAll(async () => {
  await catalog.addProducts(
    Array.from({ length: productCount }, (_, index) => ({
      sku: `SKU-${(index * 37) % productCount}`,
      // Few names, prices and times, so that most pages end among equals.
      name: ['Ångström', 'apple', 'Apple', 'Zebra 50%', 'under_score', 'back\\slash'][index % 6],
      priceCents: (index % 4) * 250,
      stockCount: index % 7 < 3 ? 0 : 5,
      categorySlug: index % 3 === 0 ? 'cups' : 'tea',
      createdAt: new Date(Date.UTC(2026, 0, 1) + (index % 5)),
    })),
  )
})

async function walk(query: string): Promise<ProductPage['items']> {
  const items: ProductPage['items'] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const answer = await catalog.ask(`/api/products?${query}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
    expect(answer.statusCode).toBe(200)
    const page: ProductPage = answer.json()
    items.push(...page.items)
    cursor = page.nextCursor
  }
  return items
}

describe('pages of products', () => {
  it.each(sorts.flatMap((sort) => [1, 7, 100].map((limit) => [sort, limit] as const)))(
    'sorted by %s, %i at a time, hold every product once and in order',
    async (sort, limit) => {
      const items = await walk(`sort=${sort}&limit=${limit}`)
      expect(new Set(items.map(({ sku }) => sku)).size).toBe(productCount)
      expect(items).toHaveLength(productCount)
      expect(items.map(({ sku }) => sku)).toEqual((await walk(`sort=${sort}&limit=100`)).map(({ sku }) => sku))
      const prices = items.map(({ priceCents }) => priceCents)
      if (sort === 'price') expect(prices).toEqual(prices.toSorted((a, b) => a - b))
      if (sort === '-price') expect(prices).toEqual(prices.toSorted((a, b) => b - a))
    },
  )

  it('skip and repeat nothing while products come and go', async () => {
    const kept = new Set<string>()
    let cursor = ''
    for (let round = 0; ; round++) {
      const answer = await catalog.ask(`/api/products?sort=price&limit=10${cursor && `&cursor=${cursor}`}`)
      const page: ProductPage = answer.json()
      for (const { sku } of page.items.filter((item) => item.sku.startsWith('SKU-'))) {
        expect(kept).not.toContain(sku)
        kept.add(sku)
      }
      await catalog.addProducts([{ sku: `NEW-${round}`, priceCents: round % 2 === 0 ? 0 : 750 }])
      if (page.nextCursor === null) break
      cursor = page.nextCursor
    }
    expect(kept.size).toBe(productCount)
    await catalog.prisma.product.deleteMany({ where: { sku: { startsWith: 'NEW-' } } })
  })

  it.each(filters.flatMap((filter) => sorts.map((sort) => [filter, sort] as const)))(
    'filtered by "%s" and sorted by %s hold what fits, each once',
    async (filter, sort) => {
      const fits = (item: ProductPage['items'][0]) => {
        const asked = new URLSearchParams(filter)
        if (asked.has('category') && item.category !== asked.get('category')) return false
        if (asked.has('minPriceCents') && (item.priceCents < 250 || item.priceCents > 500)) return false
        return !asked.has('inStock') || item.stockCount > 0 === (asked.get('inStock') === 'true')
      }
      const expected = (await walk(`sort=${sort}&limit=100`)).filter(fits)
      expect(expected.length).toBeGreaterThan(5)
      expect(await walk(`${filter}&sort=${sort}&limit=7`)).toEqual(expected)
    },
  )

  it('end when the lowest price is above the highest', async () => {
    expect(await walk('minPriceCents=500&maxPriceCents=250')).toEqual([])
  })

  it('go on after the longest name there can be', async () => {
    const name = '語'.repeat(200)
    await catalog.addProducts(['LONG-1', 'LONG-2', 'LONG-3'].map((sku) => ({ sku, name })))
    const skus = (await walk('limit=1')).map(({ sku }) => sku)
    expect(skus.slice(-3)).toEqual(['LONG-1', 'LONG-2', 'LONG-3'])
    await catalog.prisma.product.deleteMany({ where: { name } })
  })

  it('are filtered by category', async () => {
    const items = await walk('category=cups&sort=price&limit=10')
    expect(items).toHaveLength(Math.ceil(productCount / 3))
    expect(items.every(({ category }) => category === 'cups')).toBe(true)
    expect(await walk('category=nothing-like-it')).toEqual([])
  })
})

describe('a bad question', () => {
  const cursorFor = async (sort: string) =>
    ((await catalog.ask(`/api/products?sort=${sort}&limit=1`)).json() as ProductPage).nextCursor
  const encode = (position: unknown) => Buffer.from(JSON.stringify(position)).toString('base64url')

  it.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=ten', 'limit'],
    ['sort=colour', 'sort'],
    ['category=Tea%20', 'category'],
    ['q=', 'q'],
    ['colour=red', 'colour'],
    ['q=a&q=b', 'q'],
    [`q=${'a'.repeat(101)}`, 'q'],
    ['sort=relevance', 'sort'],
    ['minPriceCents=-1', 'minPriceCents'],
    ['minPriceCents=', 'minPriceCents'],
    ['maxPriceCents=1e10', 'maxPriceCents'],
    ['inStock=perhaps', 'inStock'],
  ])('%s is refused by name', async (query, path) => {
    const answer = await catalog.ask(`/api/products?${query}`)
    expect(answer.statusCode).toBe(400)
    const code = query === 'sort=relevance' ? 'relevance-without-text' : 'validation-failed'
    expect(answer.json()).toMatchObject({ code, errors: [{ path }] })
  })

  it('with a cursor that this sort did not give out is refused', async () => {
    const bad = [
      'x',
      '%22',
      encode('name'),
      encode(null),
      encode(['price', 1]),
      encode(['price', 1, 'sku-1']),
      encode(['price', '1', 'SKU-1']),
      encode(['price', 1e15, 'SKU-1']),
      encode(['price', -1, 'SKU-1']),
      encode(['price', 1, 'SKU-1', 'more']),
      encode(['relevance', 1, 'SKU-1']),
      await cursorFor('name'),
      await cursorFor('-price'),
    ]
    for (const cursor of bad) {
      const answer = await catalog.ask(`/api/products?sort=price&cursor=${cursor}`)
      expect(answer.statusCode, String(cursor)).toBe(400)
      expect(answer.json()).toMatchObject({ code: 'cursor-invalid', errors: [{ path: 'cursor' }] })
    }
  })

  it.each([
    ['name', ['name', 'a\u0000b', 'SKU-1']],
    ['name', ['name', 'a\ud800b', 'SKU-1']],
    ['newest', ['newest', 1e300, 'SKU-1']],
    ['newest', ['newest', 1.5, 'SKU-1']],
  ])('with a cursor of %s that no column could hold is refused', async (sort, position) => {
    const answer = await catalog.ask(`/api/products?sort=${sort}&cursor=${encode(position)}`)
    expect(answer.json()).toMatchObject({ status: 400, code: 'cursor-invalid' })
  })
})
