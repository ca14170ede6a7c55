/** Lists of products, a page at a time. */
import type { ProductPage, ProductQuery } from '@shop/contracts/product'
import { errors } from '../errors.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { ProductStore } from './store.ts'

const defaultPageSize = 20

export function createPages({ list, respell }: Pick<ProductStore, 'list' | 'respell'>) {
  return { page }

  /**
   * Rows that are added or removed while someone pages are seen or not; none that stayed is missed or seen twice. When nothing fits
   * `q` its words are respelled; the cursor then carries the new spelling, so that the next page goes on with it.
   */
  async function page(query: ProductQuery): Promise<ProductPage> {
    const { q, sort = q === undefined ? 'name' : 'relevance', limit = defaultPageSize, cursor, ...filter } = query
    if (sort === 'relevance' && q === undefined) throw errors.relevanceWithoutText()
    const after = cursor === undefined ? undefined : decodeCursor(sort, cursor, { isSearch: q !== undefined })
    const search = (text: string | undefined) =>
      list({ ...filter, sort, limit: limit + 1, ...(after && { after }), ...(text !== undefined && { text }) })

    let searchedFor = after?.searchedFor
    let rows = await search(searchedFor ?? q)
    if (rows.length === 0 && after === undefined && q !== undefined) {
      searchedFor = await respell(q)
      if (searchedFor !== undefined) rows = await search(searchedFor)
    }
    const shown = rows.slice(0, limit)
    const last = rows.length > limit ? shown.at(-1) : undefined
    return {
      items: shown.map(({ product }) => product),
      nextCursor: last ? encodeCursor(sort, last, searchedFor) : null,
      ...(searchedFor !== undefined && { searchedFor }),
    }
  }
}
