/** Products as the catalog shows them, and what may be asked of it. Money is integer cents. */
import { type Static, Type } from 'typebox'

export const Sku = Type.String({
  pattern: '^[A-Z0-9][A-Z0-9-]{1,30}[A-Z0-9]$',
  description: 'Stock keeping unit',
  examples: ['KIT-00001'],
})

/** The most that one product may cost, in cents: ten million. */
export const maxPriceCents = 1_000_000_000
/** The most pieces of one product that may be in stock. */
export const maxStockCount = 10_000_000

const Price = Type.Integer({ minimum: 0, maximum: maxPriceCents })

/** Characters that one search may have. */
export const maxQueryLength = 100
/** A cursor holds the name that it stands at and what was searched for, in UTF-8 and base64: the longest of both fit. */
const maxCursorLength = 3_000

export const CategorySlug = Type.String({ pattern: '^[a-z0-9]+(-[a-z0-9]+)*$', maxLength: 60 })

export const Product = Type.Object(
  {
    sku: Sku,
    name: Type.String(),
    description: Type.String(),
    category: CategorySlug,
    priceCents: Type.Integer(),
    currency: Type.String(),
    /** Pieces that can be sold now. */
    stockCount: Type.Integer(),
    imageUrl: Type.String(),
    updatedAt: Type.String({ format: 'date-time' }),
  },
  { description: 'The product' },
)
export type Product = Static<typeof Product>

/** `relevance`: what fits `q` best comes first; it needs a `q`. */
export const ProductSort = Type.Union([
  Type.Literal('relevance'),
  Type.Literal('name'),
  Type.Literal('price'),
  Type.Literal('-price'),
  Type.Literal('newest'),
])
export type ProductSort = Static<typeof ProductSort>

export const ProductQuery = Type.Object(
  {
    category: Type.Optional(CategorySlug),
    /** Words as one types them: the last may be unfinished; `"a phrase"`, `or` and `-without` are understood. */
    q: Type.Optional(Type.String({ minLength: 1, maxLength: maxQueryLength })),
    minPriceCents: Type.Optional(Price),
    maxPriceCents: Type.Optional(Price),
    /** true: only what can be bought now; false: only what is sold out. */
    inStock: Type.Optional(Type.Boolean()),
    /** @default relevance with a `q`, else name */
    sort: Type.Optional(ProductSort),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    cursor: Type.Optional(Type.String({ maxLength: maxCursorLength })),
  },
  { additionalProperties: false },
)
export type ProductQuery = Static<typeof ProductQuery>

export const ProductPage = Type.Object(
  {
    items: Type.Array(Product),
    /** Pass it as `cursor` for the next page; null on the last one. */
    nextCursor: Type.Union([Type.String(), Type.Null()]),
    /** Nothing fits `q`, so this was looked for instead: words of the catalogue that are spelled much like it. */
    searchedFor: Type.Optional(Type.String()),
  },
  { description: 'A page of products' },
)
export type ProductPage = Static<typeof ProductPage>

export const ProductInput = Type.Object(
  {
    sku: Sku,
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' }),
    description: Type.String({ maxLength: 5_000 }),
    category: CategorySlug,
    priceCents: Price,
    stockCount: Type.Integer({ minimum: 0, maximum: maxStockCount }),
  },
  {
    additionalProperties: false,
    description: 'A new product',
    examples: [
      {
        sku: 'NEW-00001',
        name: 'Travel mug',
        description: 'Keeps tea warm.',
        category: 'kitchen',
        priceCents: 1990,
        stockCount: 25,
      },
    ],
  },
)
export type ProductInput = Static<typeof ProductInput>

export const ProductPatch = Type.Partial(Type.Omit(ProductInput, ['sku']), {
  additionalProperties: false,
  minProperties: 1,
  description: 'The changed fields of the product',
  examples: [{ priceCents: 1790 }],
})
export type ProductPatch = Static<typeof ProductPatch>

export const Category = Type.Object(
  {
    slug: CategorySlug,
    name: Type.String(),
    productCount: Type.Integer(),
  },
  { description: 'A category and the number of its products' },
)
export type Category = Static<typeof Category>

export const CategoryList = Type.Object({ items: Type.Array(Category) }, { description: 'All categories' })
export type CategoryList = Static<typeof CategoryList>

/** A line of an import that was not taken, and why. The others were. */
export const RefusedLine = Type.Object({
  /** Counted from 1, the header of a CSV file included. */
  line: Type.Integer(),
  sku: Type.Optional(Type.String()),
  /** Stable: `line-not-json`, `line-too-long`, `validation-failed`, `category-unknown`, … */
  code: Type.String(),
  message: Type.String(),
})
export type RefusedLine = Static<typeof RefusedLine>

/** What an import did. The counts add up to `lineCount`. */
export const ImportReport = Type.Object(
  {
    /** Lines (records of a CSV file) that were read; empty ones and the header do not count. */
    lineCount: Type.Integer(),
    createdCount: Type.Integer(),
    updatedCount: Type.Integer(),
    /** Products that were as the line says already: nothing was written. */
    unchangedCount: Type.Integer(),
    /** Lines that were passed over because a later line, close by, has the same sku. */
    duplicateCount: Type.Integer(),
    refusedCount: Type.Integer(),
    /** The first `maxRefusedLines` of them. */
    refused: Type.Array(RefusedLine),
    refusedTruncated: Type.Boolean(),
  },
  { description: 'The result of the import, with the refused lines' },
)
export type ImportReport = Static<typeof ImportReport>

/** So many refused lines are named in a report; the others are counted. */
export const maxRefusedLines = 1_000

/** What checkout asks of the catalog: today's price of each sku. Unknown skus are left out. */
export const QuoteQuery = Type.Object(
  { sku: Type.Array(Sku, { minItems: 1, maxItems: 100 }) },
  { additionalProperties: false },
)
export const Quote = Type.Object({
  currency: Type.String(),
  items: Type.Array(Type.Object({ sku: Sku, name: Type.String(), priceCents: Price, stockCount: Type.Integer() })),
})
export type Quote = Static<typeof Quote>
