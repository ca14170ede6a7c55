/** Products and categories in Postgres. */
import type { Category, Product, ProductInput, ProductPatch, Quote } from '@shop/contracts/product'
import { enqueue, type OutboxEvent } from '@shop/service-kit/outbox'
import type { createPool } from '@shop/service-kit/storage/database'
import type { Origin } from '@shop/service-kit/telemetry/origin'
import { Prisma, type PrismaClient } from '../prisma/client/client.ts'
import { createBatchedReads } from './batched-reads.ts'
import { changeEvent, removalEvent } from './events.ts'
import type { Change } from './freshness.ts'
import { createSearch, currency, productView } from './search.ts'

/** For a connection, and for the whole transaction. */
const patience = { maxWait: 5_000, timeout: 10_000 }

/**
 * Reads are SQL and go straight to `pool`; the statement that is hot is prepared once per connection. Writes are Prisma's, and each
 * puts what it has changed into the outbox, in its own transaction.
 */
export function createProductStore(prisma: PrismaClient, pool: ReturnType<typeof createPool>) {
  /** The product as the JSON that is sent, built by Postgres. */
  const findJson = createBatchedReads({
    ask: async (skus) => {
      const { rows } = await pool.query<{ sku: string; json: string }>({ ...productsJson, values: [skus] })
      return new Map(rows.map(({ sku, json }) => [sku, json]))
    },
  })
  return { findJson, find, ...createSearch(pool), categories, quote, add, change, remove }

  async function find(sku: string): Promise<Product | undefined> {
    const { rows } = await pool.query<Product>(
      Prisma.sql`SELECT ${Prisma.raw(productView)} FROM products WHERE sku = ${sku}`,
    )
    return rows[0]
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

  async function add(
    { category, ...input }: ProductInput,
    origin?: Origin,
  ): Promise<Change | 'exists' | 'category-unknown'> {
    const change = { skus: [input.sku], areCountsChanged: true }
    try {
      const data = { ...input, categorySlug: category }
      await write(changeEvent(change, origin), (tx) => tx.product.createMany({ data }))
      return change
    } catch (error) {
      if (codeOf(error) === 'P2002') return 'exists'
      if (codeOf(error) === 'P2003') return 'category-unknown'
      throw error
    }
  }

  async function change(
    sku: string,
    { category, ...patch }: ProductPatch,
    origin?: Origin,
  ): Promise<Change | 'not-found' | 'category-unknown'> {
    const data = { ...patch, ...(category !== undefined && { categorySlug: category }) }
    const change = { skus: [sku], areCountsChanged: category !== undefined }
    try {
      const isFound = await write(changeEvent(change, origin), (tx) => tx.product.updateMany({ where: { sku }, data }))
      return isFound ? change : 'not-found'
    } catch (error) {
      if (codeOf(error) === 'P2003') return 'category-unknown'
      throw error
    }
  }

  async function remove(sku: string, origin?: Origin): Promise<Change | 'not-found'> {
    const isFound = await write(removalEvent(sku, origin), (tx) => tx.product.deleteMany({ where: { sku } }))
    return isFound ? { skus: [sku], areCountsChanged: true } : 'not-found'
  }

  /** False, and nothing is told, when the work has found no row. */
  async function write(event: OutboxEvent, work: (tx: Prisma.TransactionClient) => Promise<{ count: number }>) {
    return prisma.$transaction(async (tx) => {
      const { count } = await work(tx)
      if (count > 0) await enqueue(tx, event)
      return count > 0
    }, patience)
  }
}

export type ProductStore = ReturnType<typeof createProductStore>

const productsJson = {
  name: 'products-json',
  text: `SELECT sku, row_to_json(product)::text AS json FROM (SELECT ${productView} FROM products WHERE sku = ANY($1)) product`,
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Prisma.PrismaClientKnownRequestError ? error.code : undefined
}
