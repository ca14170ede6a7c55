/** Where a page of products ended: the value it is sorted by and, because values repeat, the sku. Each sort has cursors of its own. */
import { maxPriceCents, type Product, type ProductSort, Sku } from '@shop/contracts/product'
import { createCursor } from '@shop/service-kit/cursor'
import { type TSchema, Type } from 'typebox'

/** The limits are those of the columns: a made-up cursor must not reach the database as a number or a text that it cannot hold. */
const Name = Type.String({ maxLength: 200, pattern: '^[^\\u0000]*$' })
const Price = Type.Integer({ minimum: 0, maximum: maxPriceCents })
const TimeMs = Type.Integer({ minimum: 0, maximum: Date.UTC(9999, 0) })

const cursors = {
  name: cursorOf('name', Name),
  price: cursorOf('price', Price),
  '-price': cursorOf('-price', Price),
  newest: cursorOf('newest', TimeMs),
}

export interface Position {
  value: string | number
  sku: string
}

/** Throws 400 `cursor-invalid` for what was damaged, made up, or given out by another sort. */
export function decodeCursor(sort: ProductSort, cursor: string): Position {
  const [, value, sku] = cursors[sort].decode(cursor)
  return { value, sku }
}

export function encodeCursor(sort: ProductSort, { product, createdAt }: { product: Product; createdAt: Date }): string {
  const values = { name: product.name, price: product.priceCents, newest: createdAt.getTime() }
  return cursors[sort].encode([sort, sort === '-price' ? values.price : values[sort], product.sku])
}

function cursorOf(sort: ProductSort, value: TSchema) {
  return createCursor(
    Type.Unsafe<[sort: ProductSort, value: string | number, sku: string]>(Type.Tuple([Type.Literal(sort), value, Sku])),
  )
}
