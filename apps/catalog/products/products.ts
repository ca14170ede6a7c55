/** What a shopper may read of the catalog and an administrator may change. Writes are committed first and then forgotten by the cache. */
import type { Category, Product, ProductInput, ProductPage, ProductPatch, ProductQuery } from '@shop/contracts/product'
import { errors } from '../errors.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { drawProduct } from './image.ts'
import type { ProductStore } from './store.ts'
import { pack, type StoredResponse, unpack } from './stored-response.ts'

/** The part of the kit's cache that products need. */
export interface ByteCache {
  getBytes(id: string, load: () => Promise<Buffer | undefined>): Promise<{ value: Buffer | undefined; source: string }>
  invalidate(id: string): Promise<void>
}

/** A response that may have come out of the cache, and how it did. */
export type CachedResponse = StoredResponse & { source: string }

export interface ProductCaches {
  products: ByteCache
  categories: ByteCache
  /** Hears of an invalidation that failed: until the entry expires its readers see what was before. */
  onStale(error: unknown, id: string): void
}

const defaultPageSize = 20
const allCategories = 'all'

export function createProducts(store: ProductStore, caches: ProductCaches) {
  return { page, read, categories, image, quote: store.quote, add, change, remove, forget }

  /** Rows that are added or removed while someone pages are seen or not; none that stayed is missed or seen twice. */
  async function page({
    sort = 'name',
    limit = defaultPageSize,
    cursor,
    ...filter
  }: ProductQuery): Promise<ProductPage> {
    const after = cursor === undefined ? undefined : decodeCursor(sort, cursor)
    const rows = await store.list({ ...filter, sort, limit: limit + 1, ...(after && { after }) })
    const shown = rows.slice(0, limit)
    const last = rows.length > limit ? shown.at(-1) : undefined
    return { items: shown.map(({ product }) => product), nextCursor: last ? encodeCursor(sort, last) : null }
  }

  async function read(sku: string): Promise<CachedResponse> {
    const { value, source } = await caches.products.getBytes(sku, () => loaded(store.findJson(sku)))
    if (!value) throw errors.productNotFound(sku, { headers: { 'x-cache': source } })
    return { ...unpack(value), source }
  }

  async function categories(): Promise<CachedResponse> {
    const load = async (): Promise<string> => {
      const items: Category[] = await store.categories()
      return JSON.stringify({ items })
    }
    const { value, source } = await caches.categories.getBytes(allCategories, () => loaded(load()))
    if (!value) throw new Error('the list of categories is never absent')
    return { ...unpack(value), source }
  }

  async function image(sku: string): Promise<string> {
    const { body } = await read(sku)
    return drawProduct(JSON.parse(body.toString()) as Product)
  }

  async function add(input: ProductInput): Promise<Product> {
    const outcome = await store.add(input)
    if (outcome === 'exists') throw errors.productExists()
    if (outcome === 'category-unknown') throw errors.categoryUnknown()
    await forgetAll(input.sku)
    return found(input.sku)
  }

  async function change(sku: string, patch: ProductPatch): Promise<Product> {
    const outcome = await store.change(sku, patch)
    if (outcome === 'not-found') throw errors.productNotFound(sku)
    if (outcome === 'category-unknown') throw errors.categoryUnknown()
    await (patch.category === undefined ? forget([sku]) : forgetAll(sku))
    return found(sku)
  }

  async function remove(sku: string): Promise<void> {
    if ((await store.remove(sku)) === 'not-found') throw errors.productNotFound(sku)
    await forgetAll(sku)
  }

  /** Call it after the commit. Never rejects: when the cache cannot be reached the entries' lifetime is the bound. */
  async function forget(skus: readonly string[]): Promise<void> {
    await Promise.all(skus.map((sku) => invalidate(caches.products, sku)))
  }

  async function forgetAll(sku: string): Promise<void> {
    await Promise.all([invalidate(caches.products, sku), invalidate(caches.categories, allCategories)])
  }

  async function invalidate(cache: ByteCache, id: string): Promise<void> {
    await cache.invalidate(id).catch((error) => caches.onStale(error, id))
  }

  async function found(sku: string): Promise<Product> {
    const product = await store.find(sku)
    if (!product) throw errors.productNotFound(sku)
    return product
  }
}

export type Products = ReturnType<typeof createProducts>

async function loaded(json: Promise<string | undefined>): Promise<Buffer | undefined> {
  const text = await json
  return text === undefined ? undefined : pack(text)
}
