/** What a shopper may read of the catalog and an administrator may change. Writes are committed first and then forgotten by the cache. */
import type { Category, Product, ProductInput, ProductPatch } from '@shop/contracts/product'
import { errors } from '../errors.ts'
import { allCategories, type Freshness } from './freshness.ts'
import { drawProduct } from './image.ts'
import { createPages } from './pages.ts'
import type { ProductStore } from './store.ts'
import { pack, type StoredResponse, unpack } from './stored-response.ts'

/** The part of the kit's cache that reads need. */
export interface ByteCache {
  getBytes(id: string, load: () => Promise<Buffer | undefined>): Promise<{ value: Buffer | undefined; source: string }>
}

/** A response that may have come out of the cache, and how it did. */
export type CachedResponse = StoredResponse & { source: string }

export interface ProductsOptions {
  products: ByteCache
  categories: ByteCache
  /** Told of each change after its commit. Must not reject. */
  forget: Freshness['forget']
}

export function createProducts(store: ProductStore, { forget, ...caches }: ProductsOptions) {
  return { ...createPages(store), read, categories, image, quote: store.quote, add, change, remove }

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
    await forget(outcome)
    return found(input.sku)
  }

  async function change(sku: string, patch: ProductPatch): Promise<Product> {
    const outcome = await store.change(sku, patch)
    if (outcome === 'not-found') throw errors.productNotFound(sku)
    if (outcome === 'category-unknown') throw errors.categoryUnknown()
    await forget(outcome)
    return found(sku)
  }

  async function remove(sku: string): Promise<void> {
    const outcome = await store.remove(sku)
    if (outcome === 'not-found') throw errors.productNotFound(sku)
    await forget(outcome)
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
