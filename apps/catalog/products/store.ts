/** Products and categories in Postgres. */
import type { Category, Product, ProductInput, ProductPatch, ProductSort, Quote } from '@shop/contracts/product'
import type { createPool } from '@shop/service-kit/database'
import { Prisma, type PrismaClient } from '../prisma/client/client.ts'
import type { Position } from './cursor.ts'

const currency = 'EUR'

export interface Page {
  category?: string
  /** Text that the name contains, in either case. */
  q?: string
  sort: ProductSort
  limit: number
  /** Where the last page ended. */
  after?: Position
}

export interface ListedProduct {
  product: Product
  createdAt: Date
}

/** Reads are SQL and go straight to `pool`; the statement that is hot is prepared once per connection. Writes are Prisma's. */
export function createProductStore(prisma: PrismaClient, pool: ReturnType<typeof createPool>) {
  return { findJson, find, list, categories, quote, add, change, remove }

  /** The product as the JSON that is sent, built by Postgres. */
  async function findJson(sku: string): Promise<string | undefined> {
    const { rows } = await pool.query<{ json: string }>({ name: 'product-json', text: productJson, values: [sku] })
    return rows[0]?.json
  }

  async function find(sku: string): Promise<Product | undefined> {
    const { rows } = await pool.query<Product>(Prisma.sql`SELECT ${columns} FROM products WHERE sku = ${sku}`)
    return rows[0]
  }

  /** Rows in the order of the sort, `limit` at most. Follows an index, however far down the list `after` is. */
  async function list({ category, q, sort, limit, after }: Page): Promise<ListedProduct[]> {
    const { column, direction, isAfter } = order[sort]
    const conditions = [Prisma.sql`true`]
    if (category !== undefined) conditions.push(Prisma.sql`category = ${category}`)
    if (q !== undefined) conditions.push(Prisma.sql`name ILIKE ${`%${q.replace(/[\\%_]/g, '\\$&')}%`}`)
    if (after) conditions.push(Prisma.sql`(${column}, sku) ${isAfter} (${sortValue(sort, after)}, ${after.sku})`)
    const { rows } = await pool.query<Product & { createdAt: Date }>(Prisma.sql`
      SELECT ${columns}, created_at AS "createdAt" FROM products
      WHERE ${Prisma.join(conditions, ' AND ')}
      ORDER BY ${column} ${direction}, sku ${direction} LIMIT ${limit}`)
    return rows.map(({ createdAt, ...product }) => ({ product, createdAt }))
  }

  async function categories(): Promise<Category[]> {
    const { rows } = await pool.query<Category>(`
      SELECT slug, categories.name, count(sku)::int AS "productCount"
      FROM categories LEFT JOIN products ON category = slug GROUP BY slug ORDER BY categories.name, slug`)
    return rows
  }

  /** What is not known is left out. */
  async function quote(skus: readonly string[]): Promise<Quote> {
    const items = await prisma.product.findMany({
      where: { sku: { in: [...new Set(skus)] } },
      select: { sku: true, name: true, priceCents: true, stockCount: true },
      orderBy: { sku: 'asc' },
    })
    return { currency, items }
  }

  async function add({ category, ...input }: ProductInput): Promise<'added' | 'exists' | 'category-unknown'> {
    try {
      await prisma.product.create({ data: { ...input, categorySlug: category } })
      return 'added'
    } catch (error) {
      if (codeOf(error) === 'P2002') return 'exists'
      if (codeOf(error) === 'P2003') return 'category-unknown'
      throw error
    }
  }

  async function change(
    sku: string,
    { category, ...patch }: ProductPatch,
  ): Promise<'changed' | 'not-found' | 'category-unknown'> {
    try {
      const data = { ...patch, ...(category !== undefined && { categorySlug: category }) }
      const { count } = await prisma.product.updateMany({ where: { sku }, data })
      return count === 1 ? 'changed' : 'not-found'
    } catch (error) {
      if (codeOf(error) === 'P2003') return 'category-unknown'
      throw error
    }
  }

  async function remove(sku: string): Promise<'removed' | 'not-found'> {
    const { count } = await prisma.product.deleteMany({ where: { sku } })
    return count === 1 ? 'removed' : 'not-found'
  }
}

export type ProductStore = ReturnType<typeof createProductStore>

/** A product as the contract has it, straight out of a row. */
const view = `sku, name, description, category, price_cents AS "priceCents", '${currency}' AS currency,
  stock_count AS "stockCount", '/api/products/' || sku || '/image.svg' AS "imageUrl",
  to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt"`

const columns = Prisma.raw(view)
const productJson = `SELECT row_to_json(product)::text AS json FROM (SELECT ${view} FROM products WHERE sku = $1) product`

const ascending = { direction: Prisma.sql`ASC`, isAfter: Prisma.sql`>` }
const descending = { direction: Prisma.sql`DESC`, isAfter: Prisma.sql`<` }

/** Column and tie-breaker run the same way, so that one row comparison says "after" and the index can be read either way. */
const order = {
  name: { column: Prisma.sql`name`, ...ascending },
  price: { column: Prisma.sql`price_cents`, ...ascending },
  '-price': { column: Prisma.sql`price_cents`, ...descending },
  newest: { column: Prisma.sql`created_at`, ...descending },
}

function sortValue(sort: ProductSort, { value }: Position) {
  if (sort === 'newest') return Prisma.sql`${new Date(value)}::timestamptz`
  return sort === 'name' ? Prisma.sql`${value}` : Prisma.sql`${value}::int`
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Prisma.PrismaClientKnownRequestError ? error.code : undefined
}
