import { ProductPage } from '@shop/contracts/product'
import { Value } from 'typebox/value'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCatalog } from '../catalog.fixture.ts'
import { Prisma } from '../prisma/client/client.ts'
import { type ListQuery, listStatement } from './search.ts'

const catalog = await startCatalog()
afterAll(() => catalog.stop())

const products: Record<string, [name: string, description: string]> = {
  'SHIRT-1': ['Linen Shirt, Blue', 'Cool in summer.'],
  'SHIRT-2': ['Cotton Shirt, White', 'Goes with linen trousers.'],
  'TABLE-1': ['Coffee Table', 'Made of oak.'],
  'CUP-1': ['Coffee Cup', 'Holds coffee.'],
  'BOARD-1': ['Skateboard', 'For the street.'],
  'BOARD-2': ['Chopping Board', 'Made of oak, for bread.'],
  'ODD-1': ['Zebra 50%', 'Striped.'],
  'ODD-2': ['under_score', 'Plain.'],
  'BAG-1': ['Gym Bag', 'For runners: running and all that runs.'],
}

beforeAll(() =>
  catalog.addProducts(Object.entries(products).map(([sku, [name, description]]) => ({ sku, name, description }))),
)

async function pageOf(query: Record<string, string>): Promise<ProductPage> {
  const answer = await catalog.ask(`/api/products?${new URLSearchParams({ limit: '100', ...query })}`)
  expect(answer.statusCode, answer.body).toBe(200)
  expect(Value.Errors(ProductPage, answer.json())).toEqual([])
  return answer.json()
}
const skusFor = async (q: string, more: Record<string, string> = {}) =>
  (await pageOf({ q, ...more })).items.map(({ sku }) => sku)

describe('a search', () => {
  it.each([
    ['shirts', ['SHIRT-1', 'SHIRT-2'], 'another form of the word'],
    ['LINEN', ['SHIRT-1', 'SHIRT-2'], 'names and descriptions, in either case'],
    ['linen shirt blue', ['SHIRT-1'], 'all words'],
    ['run', ['BAG-1'], 'a word of the description, stemmed'],
    ['coffee tab', ['TABLE-1'], 'a last word that is not finished'],
    ['board', ['BOARD-1', 'BOARD-2'], 'a part of a name'],
    ['ffee ta', ['TABLE-1'], 'a part of a name with a space in it'],
    ['"coffee cup"', ['CUP-1'], 'a phrase'],
    ['coffee -table', ['CUP-1'], 'without a word'],
    ['table or cup', ['CUP-1', 'TABLE-1'], 'one or the other'],
    ['50%', ['ODD-1'], 'signs are no pattern'],
    ['er_sco', ['ODD-2'], 'an underscore is itself'],
    ['er%sco', [], 'a percent sign stands for nothing else'],
    ['%', [], 'a sign alone'],
    ['the', [], 'a word that says nothing'],
    ["'; DROP TABLE products; --", [], 'SQL'],
    ['a & | ! ( ) : * <-> \\ "', [], 'the syntax of tsquery'],
  ])('for %s finds %j: %s', async (q, skus) => {
    expect((await skusFor(q)).sort()).toEqual(skus)
  })

  it('shows what is called so before what only mentions it', async () => {
    expect(await skusFor('linen')).toEqual(['SHIRT-1', 'SHIRT-2'])
    expect((await skusFor('coffee'))[0]).toBe('CUP-1')
    expect(await skusFor('linen', { sort: 'relevance' })).toEqual(['SHIRT-1', 'SHIRT-2'])
    expect(await skusFor('linen', { sort: 'name' })).toEqual(['SHIRT-2', 'SHIRT-1'])
  })

  it('can be narrowed down', async () => {
    expect(await skusFor('linen', { category: 'cups' })).toEqual([])
    expect(await skusFor('linen', { maxPriceCents: '500', inStock: 'true' })).toHaveLength(2)
    expect(await skusFor('linen', { minPriceCents: '501' })).toEqual([])
  })
})

describe('a misspelled search', () => {
  it.each([
    ['cofee', 'coffee', ['CUP-1', 'TABLE-1']],
    ['cofee cupp', 'coffee cup', ['CUP-1']],
    ['Linnen', 'linen', ['SHIRT-1', 'SHIRT-2']],
    ['zebra 50 strpied', undefined, []],
    ['zebbra 50', 'zebra 50', ['ODD-1']],
  ])('for %s looks for %s and says so', async (q, searchedFor, skus) => {
    const page = await pageOf({ q })
    expect(page.searchedFor).toBe(searchedFor)
    expect(page.items.map(({ sku }) => sku).sort()).toEqual(skus)
  })

  it('is one only when nothing fits it: filters do not make it so', async () => {
    expect(await pageOf({ q: 'striped', category: 'cups' })).toEqual({ items: [], nextCursor: null })
    expect(await pageOf({ q: 'coffee' })).not.toHaveProperty('searchedFor')
  })

  it.each(['"cofee"', 'cofee -table', 'xqzwv', 'cofee xqzwv', '12345'])('%s is left as it is', async (q) => {
    expect(await pageOf({ q })).toEqual({ items: [], nextCursor: null })
  })

  it('knows the words of names that were changed', async () => {
    await catalog.ask('/api/products/ODD-2', { as: 'admin', method: 'PATCH', body: { name: 'Umbrella' } })
    expect(await pageOf({ q: 'umbrela' })).toMatchObject({ searchedFor: 'umbrella', items: [{ sku: 'ODD-2' }] })
  })
})

describe('pages of a search', () => {
  beforeAll(() =>
    catalog.addProducts(
      Array.from({ length: 60 }, (_, index) => ({
        sku: `LAMP-${String(index).padStart(2, '0')}`,
        // Few kinds, so that most pages end among equals.
        name: ['Lamp', 'Lantern', 'Oil Lamp, Small', 'Candle'][index % 4],
        description: index % 3 === 0 ? 'A lantern, or a lamp, of glass.' : 'Of glass.',
        priceCents: (index % 5) * 100,
      })),
    ),
  )

  const walks = (['relevance', 'name', 'price', '-price', 'newest'] as const).flatMap((sort) =>
    (['lamp', 'lamp or lantern', 'lanttern'] as const).map((q) => [sort, q] as const),
  )
  it.each(walks)('by %s for %s hold every match once', async (sort, q) => {
    const all = await pageOf({ q, sort })
    expect(all.items.length).toBeGreaterThan(20)
    expect(all.items.length).toBeLessThan(61)
    const walked: ProductPage['items'] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: ProductPage = await pageOf({ q, sort, limit: '7', ...(cursor && { cursor }) })
      expect(page.searchedFor).toBe(all.searchedFor)
      walked.push(...page.items)
      cursor = page.nextCursor
    }
    expect(walked).toEqual(all.items)
    expect(new Set(walked.map(({ sku }) => sku)).size).toBe(walked.length)
  })
})

describe('among twenty thousand products', () => {
  beforeAll(async () => {
    await catalog.prisma.$executeRaw`
      INSERT INTO products (sku, name, description, category, price_cents, stock_count)
      SELECT 'BULK-' || i, 'Thing ' || md5((i % 400)::text) || ' of ' || md5((i % 700)::text), md5((i % 90)::text) || ' and more', 'cups',
        i % 1000, i % 3 FROM generate_series(1, 20000) AS i`
    await catalog.pool.query('VACUUM ANALYZE products')
  })

  type Plan = { 'Node Type': string; 'Index Name'?: string; 'Relation Name'?: string; Plans?: Plan[] }
  async function nodesOf(statement: Prisma.Sql): Promise<Plan[]> {
    const { rows } = await catalog.pool.query(Prisma.sql`EXPLAIN (FORMAT JSON) ${statement}`)
    const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)]
    return flat(rows[0]['QUERY PLAN'][0].Plan)
  }
  const indexesOf = (nodes: Plan[]) => nodes.flatMap((node) => node['Index Name'] ?? []).sort()
  const readsAll = (nodes: Plan[]) => nodes.some((node) => node['Node Type'].includes('Seq Scan'))

  const ask = (query: Partial<ListQuery>) => listStatement({ sort: 'relevance', limit: 21, ...query })
  const after = { value: 1, sku: 'A-1' }
  it.each([
    ['words', ask({ text: 'coffee cup' }), ['products_name_idx', 'products_search_idx']],
    ['words of two letters', ask({ text: 'go' }), ['products_search_idx']],
    ['a later page', ask({ text: 'coffee', after }), ['products_name_idx', 'products_search_idx']],
    ['words by price', ask({ text: 'coffee', sort: 'price' }), ['products_name_idx', 'products_search_idx']],
    ['no text', ask({ sort: 'name' }), ['products_name_sku_idx']],
    [
      'no text, a later page',
      ask({ sort: '-price', after: { ...after, value: 500 } }),
      ['products_price_cents_sku_idx'],
    ],
    ['a range of prices', ask({ sort: 'price', minPriceCents: 900 }), ['products_price_cents_sku_idx']],
    ['a category', ask({ sort: 'newest', category: 'tea' }), ['products_category_created_at_sku_idx']],
  ])('%s are found by index', async (_, statement, indexes) => {
    const nodes = await nodesOf(statement)
    expect(indexesOf(nodes)).toEqual(indexes)
    expect(readsAll(nodes)).toBe(false)
  })

  it('a text that no index serves would be seen to read everything', async () => {
    const nodes = await nodesOf(Prisma.sql`SELECT sku FROM products WHERE description ILIKE '%coffee%' LIMIT 21`)
    expect(readsAll(nodes)).toBe(true)
  })
})
