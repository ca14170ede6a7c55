/** Products as the catalog shows them, and what may be asked of it. Money is integer cents. */
import { type Static, Type } from 'typebox'

export const Sku = Type.String({ pattern: '^[A-Z0-9][A-Z0-9-]{1,30}[A-Z0-9]$', description: 'Stock keeping unit' })

/** The most that one product may cost, in cents: ten million. */
export const maxPriceCents = 1_000_000_000
/** The most pieces of one product that may be in stock. */
export const maxStockCount = 10_000_000

export const CategorySlug = Type.String({ pattern: '^[a-z0-9]+(-[a-z0-9]+)*$', maxLength: 60 })

export const Product = Type.Object({
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
})
export type Product = Static<typeof Product>

export const ProductSort = Type.Union([
  Type.Literal('name'),
  Type.Literal('price'),
  Type.Literal('-price'),
  Type.Literal('newest'),
])
export type ProductSort = Static<typeof ProductSort>

export const ProductQuery = Type.Object(
  {
    category: Type.Optional(CategorySlug),
    q: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    sort: Type.Optional(ProductSort),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    cursor: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false },
)
export type ProductQuery = Static<typeof ProductQuery>

export const ProductPage = Type.Object({
  items: Type.Array(Product),
  /** Pass it as `cursor` for the next page; null on the last one. */
  nextCursor: Type.Union([Type.String(), Type.Null()]),
})
export type ProductPage = Static<typeof ProductPage>

export const ProductInput = Type.Object(
  {
    sku: Sku,
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' }),
    description: Type.String({ maxLength: 5_000 }),
    category: CategorySlug,
    priceCents: Type.Integer({ minimum: 0, maximum: maxPriceCents }),
    stockCount: Type.Integer({ minimum: 0, maximum: maxStockCount }),
  },
  { additionalProperties: false },
)
export type ProductInput = Static<typeof ProductInput>

export const ProductPatch = Type.Partial(Type.Omit(ProductInput, ['sku']), {
  additionalProperties: false,
  minProperties: 1,
})
export type ProductPatch = Static<typeof ProductPatch>

export const Category = Type.Object({
  slug: CategorySlug,
  name: Type.String(),
  productCount: Type.Integer(),
})
export type Category = Static<typeof Category>

/** What checkout asks of the catalog: today's price of each sku. Unknown skus are left out. */
export const QuoteQuery = Type.Object(
  { sku: Type.Array(Sku, { minItems: 1, maxItems: 100 }) },
  { additionalProperties: false },
)
export const Quote = Type.Object({
  currency: Type.String(),
  items: Type.Array(
    Type.Object({ sku: Sku, name: Type.String(), priceCents: Type.Integer(), stockCount: Type.Integer() }),
  ),
})
export type Quote = Static<typeof Quote>
