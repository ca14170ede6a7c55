/** Puts products into the catalog's database: one COPY stream into a temporary table, one transaction, a few megabytes whatever the count. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { categories, generateProducts, type SeedProduct } from './catalogue.ts'
import { announceChanges } from './changes.ts'

export interface CatalogSeed {
  productCount: number
  /** Remove all products, categories and reservations first. */
  isFresh: boolean
  onProgress(line: string): void
}

/**
 * Products that are already there stay as they are: a price that someone changed is theirs. Returns how many are new. A shop that runs hears
 * of what is new and what is gone.
 */
export async function seedCatalog(client: pg.Client, { productCount, isFresh, onProgress }: CatalogSeed) {
  await client.query('BEGIN')
  try {
    const wasEmpty = (await client.query('SELECT FROM products LIMIT 1')).rowCount === 0
    await client.query(
      `CREATE TEMP TABLE changed ON COMMIT DROP AS SELECT sku FROM products ${isFresh ? '' : 'LIMIT 0'}`,
    )
    if (isFresh) await client.query('TRUNCATE products, product_words, categories, reservations, cancelled_orders')
    await insertCategories(client)
    await client.query('CREATE TEMP TABLE seeded (LIKE products INCLUDING DEFAULTS) ON COMMIT DROP')
    const rows = Readable.from(copyRows(productCount, onProgress), { objectMode: false, highWaterMark: 256 * 1024 })
    await pipeline(rows, client.query(copyFrom(`COPY seeded (${columns}) FROM STDIN`)))
    const { rowCount } = await client.query(
      `WITH new AS (INSERT INTO products (${columns}) SELECT ${columns} FROM seeded ON CONFLICT (sku) DO NOTHING RETURNING sku)
       INSERT INTO changed SELECT sku FROM new`,
    )
    // Of a shop without products there is nothing to forget, and the first seed is the largest.
    if (!wasEmpty) await announceChanges(client, 'SELECT DISTINCT sku FROM changed')
    await client.query('COMMIT')
    await client.query('ANALYZE products')
    return rowCount ?? 0
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

const columns = 'sku, name, description, category, price_cents, stock_count, created_at, updated_at'
const rowsPerChunk = 500
const rowsPerReport = 20_000

async function insertCategories(client: pg.Client) {
  await client.query(
    `INSERT INTO categories (slug, name) SELECT * FROM unnest($1::text[], $2::text[])
     ON CONFLICT (slug) DO UPDATE SET name = excluded.name`,
    [categories.map(({ slug }) => slug), categories.map(({ name }) => name)],
  )
}

/** The text format of COPY: tabs between columns, a line per row. Chunks, because a write per row costs more than the row. */
function* copyRows(count: number, onProgress: (line: string) => void): Generator<Buffer> {
  let lines = ''
  let done = 0
  for (const product of generateProducts(count)) {
    lines += copyLine(product)
    done += 1
    if (done % rowsPerChunk === 0 || done === count) {
      yield Buffer.from(lines)
      lines = ''
    }
    if (done % rowsPerReport === 0 && done < count) onProgress(`  ${done.toLocaleString('en')} products …`)
  }
}

function copyLine({ sku, name, description, category, priceCents, stockCount, createdAt }: SeedProduct): string {
  const time = createdAt.toISOString()
  return `${[sku, name, description, category, priceCents, stockCount, time, time].map(escapeField).join('\t')}\n`
}

const special: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escapeField(value: string | number): string {
  return String(value).replace(/[\\\t\n\r]/g, (character) => special[character] ?? '')
}
