/**
 * Where a page of products ended: the value it is sorted by and, because values repeat, the sku; and what was searched for, if that
 * was not what was asked for. Each sort has cursors of its own.
 */
import { maxPriceCents, maxQueryLength, type ProductSort, Sku } from '@shop/contracts/product'
import { createCursor } from '@shop/service-kit/http/cursor'
import { type TSchema, Type } from 'typebox'
import type { ListedProduct, Position } from './search.ts'

/** The limits are those of the columns: a made-up cursor must not reach the database as a number or a text that it cannot hold. */
const text = (maxLength: number) => Type.String({ maxLength, pattern: '^[^\\u0000\\ud800-\\udfff]*$' })
const integer = (maximum: number) => Type.Integer({ minimum: 0, maximum })

const cursors = {
  relevance: cursorsOf('relevance', integer(2 ** 31 - 1)),
  name: cursorsOf('name', text(200)),
  price: cursorsOf('price', integer(maxPriceCents)),
  '-price': cursorsOf('-price', integer(maxPriceCents)),
  newest: cursorsOf('newest', integer(Date.UTC(9999, 0))),
}

/** Throws 400 `cursor-invalid` for what was damaged, made up, or given out for another sort, or for a search when this is none. */
export function decodeCursor(sort: ProductSort, cursor: string, { isSearch }: { isSearch: boolean }): Position {
  const [, value, sku, searchedFor] = cursors[sort][isSearch ? 'search' : 'list'].decode(cursor)
  return { value, sku, ...(searchedFor !== undefined && { searchedFor }) }
}

export function encodeCursor(sort: ProductSort, { product, createdAt, rank }: ListedProduct, searchedFor?: string) {
  const { name, priceCents, sku } = product
  const values = { relevance: rank, name, price: priceCents, '-price': priceCents, newest: createdAt.getTime() }
  const position = [sort, values[sort], sku] as const
  return cursors[sort].search.encode(searchedFor === undefined ? [...position] : [...position, searchedFor])
}

type Encoded = [sort: ProductSort, value: string | number, sku: string, searchedFor?: string]

function cursorsOf(sort: ProductSort, value: TSchema) {
  const position = [Type.Literal(sort), value, Sku]
  const [list, withText] = [Type.Tuple(position), Type.Tuple([...position, text(maxQueryLength)])]
  return {
    list: createCursor(Type.Unsafe<Encoded>(list)),
    search: createCursor(Type.Unsafe<Encoded>(Type.Union([list, withText]))),
  }
}
