/** Many products at once into Postgres: one statement and one event per batch. */
import type { ProductInput } from '@shop/contracts/product'
import { enqueue } from '@shop/service-kit/outbox'
import type { Origin } from '@shop/service-kit/telemetry/origin'
import { Prisma, type PrismaClient } from '../prisma/client/client.ts'
import { changeEvent } from '../products/events.ts'
import type { Change } from '../products/freshness.ts'

export interface Written {
  createdCount: number
  updatedCount: number
  /** Of products whose category there is not; they were left out. */
  refusedSkus: string[]
  /** Undefined when nothing was written: every product was as it was to be. */
  change?: Change
}

/** For a connection, and for the whole batch: an order may hold a product of it for a moment. */
const patience = { maxWait: 10_000, timeout: 10_000 }

interface Row {
  sku: string
  outcome: 'created' | 'updated' | 'category-unknown'
  isMoved: boolean
}

export function createImportStore(prisma: PrismaClient) {
  return { write }

  /** Adds what is new and changes what differs, all or nothing. Skus must be distinct. */
  function write(products: readonly ProductInput[], origin?: Origin): Promise<Written> {
    return prisma.$transaction(async (tx) => {
      const rows = await tx.$queryRaw<Row[]>(upsert(products))
      const skusOf = (wanted: Row['outcome']) => rows.filter(({ outcome }) => outcome === wanted).map(({ sku }) => sku)
      const [created, updated] = [skusOf('created'), skusOf('updated')]
      const change = { skus: [...created, ...updated], areCountsChanged: rows.some(({ isMoved }) => isMoved) }
      if (change.skus.length > 0) await enqueue(tx, changeEvent(change, origin))
      return {
        createdCount: created.length,
        updatedCount: updated.length,
        refusedSkus: skusOf('category-unknown'),
        ...(change.skus.length > 0 && { change }),
      }
    }, patience)
  }
}

export type ImportStore = ReturnType<typeof createImportStore>

/**
 * Rows in the order of their skus, as orders lock them, so that neither waits for the other in a circle. A product that is as the file
 * has it is not written: no new row version, no index touched, nothing for the cache to forget.
 */
function upsert(products: readonly ProductInput[]): Prisma.Sql {
  const texts = (field: 'sku' | 'name' | 'description' | 'category') =>
    Prisma.sql`${products.map((product) => product[field])}::text[]`
  const integers = (field: 'priceCents' | 'stockCount') =>
    Prisma.sql`${products.map((product) => product[field])}::int[]`
  return Prisma.sql`
    WITH line AS (
      SELECT * FROM unnest(${texts('sku')}, ${texts('name')}, ${texts('description')}, ${texts('category')},
        ${integers('priceCents')}, ${integers('stockCount')}) AS line(${columns})
    ), written AS (
      INSERT INTO products AS product (${columns})
      SELECT ${columns} FROM line WHERE EXISTS (SELECT FROM categories WHERE slug = category) ORDER BY sku
      ON CONFLICT (sku) DO UPDATE SET (name, description, category, price_cents, stock_count, updated_at) =
        (excluded.name, excluded.description, excluded.category, excluded.price_cents, excluded.stock_count, now())
      WHERE (product.name, product.description, product.category, product.price_cents, product.stock_count) IS DISTINCT FROM
        (excluded.name, excluded.description, excluded.category, excluded.price_cents, excluded.stock_count)
      RETURNING new.sku, CASE WHEN old.sku IS NULL THEN 'created' ELSE 'updated' END AS outcome,
        old.category IS DISTINCT FROM new.category AS "isMoved"
    )
    SELECT * FROM written
    UNION ALL
    SELECT sku, 'category-unknown', false FROM line WHERE NOT EXISTS (SELECT FROM categories WHERE slug = category)`
}

const columns = Prisma.sql`sku, name, description, category, price_cents, stock_count`
