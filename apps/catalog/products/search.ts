/**
 * How products are found, in SQL. Words are looked for in the generated column `search` (stemmed, names weigh more than descriptions),
 * parts of names by their trigrams: each by an index of its own. When nothing fits, `respell` looks for the words that were meant.
 */
import type { Product, ProductSort } from '@shop/contracts/product'
import type { createPool } from '@shop/service-kit/storage/database'
import { Prisma } from '../prisma/client/client.ts'

export interface ListQuery {
  category?: string
  /** What somebody typed: see `matching`. */
  text?: string
  minPriceCents?: number
  maxPriceCents?: number
  inStock?: boolean
  /** `relevance` needs a text. */
  sort: ProductSort
  limit: number
  /** Where the last page ended. */
  after?: Position
}

/** Where a page ended. */
export interface Position {
  value: string | number
  sku: string
  searchedFor?: string
}

export interface ListedProduct {
  product: Product
  createdAt: Date
  /** How well it fits the text, in millionths; 0 when that was not asked. */
  rank: number
}

export const currency = 'EUR'

/** A product as the contract has it, straight out of a row. */
export const productView = `sku, name, description, category, price_cents AS "priceCents", '${currency}' AS currency,
  stock_count AS "stockCount", '/api/products/' || sku || '/image.svg' AS "imageUrl",
  to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt"`

export function createSearch(pool: ReturnType<typeof createPool>) {
  return { list, respell }

  /** Rows in the order of the sort, `limit` at most. */
  async function list(query: ListQuery): Promise<ListedProduct[]> {
    const { rows } = await pool.query<Product & Omit<ListedProduct, 'product'>>(listStatement(query))
    return rows.map(({ createdAt, rank, ...product }) => ({ product, createdAt, rank }))
  }

  /**
   * The text in words of the catalogue, each replaced by the one most like it. Undefined when the text fits some product as it is, when
   * a word is like none that there is, and for a text with operators, which is to be taken literally.
   */
  async function respell(text: string): Promise<string | undefined> {
    const words =
      text
        .toLowerCase()
        .match(/[\p{L}\p{N}]+/gu)
        ?.slice(0, maxWords) ?? []
    if (/"|(^|\s)-/.test(text) || !words.some(isSpellable)) return undefined
    const known = await pool.query(Prisma.sql`SELECT FROM products WHERE ${matching(text)} LIMIT 1`)
    if (known.rows.length > 0) return undefined
    const { rows } = await pool.query<{ word: string | null }>(respellStatement(words.filter(isSpellable)))
    if (rows.some(({ word }) => word === null)) return undefined
    const meant = rows.map(({ word }) => word)
    return words.map((word) => (isSpellable(word) ? meant.shift() : word)).join(' ')
  }
}

const maxWords = 10
/** As the dictionary has them: see the trigger `remember_words`. */
const isSpellable = (word: string) => /^\p{L}{3,40}$/u.test(word)

/** For a sort without a text it follows an index, however far down the list `after` is. */
export function listStatement({ sort, limit, after, ...filter }: ListQuery): Prisma.Sql {
  const { column, direction, isAfter } = order[sort]
  const rank = sort === 'relevance' && filter.text !== undefined ? rankBy(filter.text) : Prisma.sql`0`
  const position = after && Prisma.sql`WHERE (${column}, sku) ${isAfter} (${sortValue(sort, after)}, ${after.sku})`
  return Prisma.sql`
    SELECT ${Prisma.raw(productView)}, created_at AS "createdAt", rank
    FROM (SELECT *, ${rank} AS rank FROM products WHERE ${Prisma.join(conditions(filter), ' AND ')}) AS found
    ${position ?? Prisma.empty} ORDER BY ${column} ${direction}, sku ${direction} LIMIT ${limit}`
}

function conditions({ category, text, minPriceCents, maxPriceCents, inStock }: Omit<ListQuery, 'sort' | 'limit'>) {
  const all = [Prisma.sql`true`]
  if (category !== undefined) all.push(Prisma.sql`category = ${category}`)
  if (text !== undefined) all.push(matching(text))
  if (minPriceCents !== undefined) all.push(Prisma.sql`price_cents >= ${minPriceCents}::int`)
  if (maxPriceCents !== undefined) all.push(Prisma.sql`price_cents <= ${maxPriceCents}::int`)
  if (inStock !== undefined) all.push(Prisma.sql`(stock_count > 0) = ${inStock}`)
  return all
}

/**
 * All its words, in name or description; or the text as it stands, within the name. A part is looked for only if it has three letters
 * or digits in a row: fewer make no trigram, and every row would have to be read.
 */
function matching(text: string): Prisma.Sql {
  const byWords = Prisma.sql`search @@ ${wordsOf(text)}`
  if (!/[\p{L}\p{N}]{3}/u.test(text)) return byWords
  return Prisma.sql`(${byWords} OR name ILIKE ${`%${text.replace(/[\\%_]/g, '\\$&')}%`})`
}

/** The syntax of web searches; and the last word, from three letters on, may be the beginning of one in the name. */
function wordsOf(text: string): Prisma.Sql {
  const query = Prisma.sql`websearch_to_tsquery('english', ${text})`
  const [, finished, unfinished] = /^((?:.*\s)?)([\p{L}\p{N}]{3,})$/su.exec(text) ?? []
  if (finished === undefined || unfinished === undefined || finished.includes('"')) return query
  const beginning = Prisma.sql`to_tsquery('simple', ${`${unfinished}:*A`})`
  return Prisma.sql`(${query} || (websearch_to_tsquery('english', ${finished}) && ${beginning}))`
}

/** Whole numbers, for a page ends at one and the next begins there: floating point would have to survive the way through a cursor. */
function rankBy(text: string): Prisma.Sql {
  return Prisma.sql`(ts_rank(search, ${wordsOf(text)}) * 1000000)::int`
}

/** For each word the most similar of the dictionary, in the same order; itself, if it is in it. */
function respellStatement(words: readonly string[]): Prisma.Sql {
  return Prisma.sql`
    SELECT (SELECT word FROM product_words WHERE word % asked ORDER BY similarity(word, asked) DESC, word LIMIT 1)
    FROM unnest(${words}::text[]) WITH ORDINALITY AS typed(asked, position) ORDER BY position`
}

const ascending = { direction: Prisma.sql`ASC`, isAfter: Prisma.sql`>` }
const descending = { direction: Prisma.sql`DESC`, isAfter: Prisma.sql`<` }

/** Column and tie-breaker run the same way, so that one row comparison says "after" and the index can be read either way. */
const order = {
  relevance: { column: Prisma.sql`rank`, ...descending },
  name: { column: Prisma.sql`name`, ...ascending },
  price: { column: Prisma.sql`price_cents`, ...ascending },
  '-price': { column: Prisma.sql`price_cents`, ...descending },
  newest: { column: Prisma.sql`created_at`, ...descending },
}

function sortValue(sort: ProductSort, { value }: Position) {
  if (sort === 'newest') return Prisma.sql`${new Date(value)}::timestamptz`
  return sort === 'name' ? Prisma.sql`${value}` : Prisma.sql`${value}::int`
}
